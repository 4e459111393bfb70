"""The job of client_bench with asyncio and aiohttp: one session, kept connections, a pool of workers.

Usage: client_peer.py URL REQUESTS IN_FLIGHT SECONDS_OF_SERVER
"""
import asyncio
import json
import resource
import sys
import time

import aiohttp


def body_of(number):
    problem = f"Problem {number}: " + "x" * 500
    return {"model": "bench", "temperature": 0.7, "seed": number,
            "messages": [{"role": "system", "content": "Think step by step."},
                         {"role": "user", "content": problem}]}


async def worker(session, url, numbers, total):
    for number in numbers:  # shared by all workers
        async with session.post(url, json=body_of(number)) as reply:
            reply.raise_for_status()
            parsed = json.loads(await reply.read())
            total[0] += len(parsed["choices"][0]["message"]["content"])


async def ask_all(url, requests, in_flight):
    total = [0]
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:
        numbers = iter(range(requests))
        await asyncio.gather(*(worker(session, url + "/chat/completions", numbers, total)
                               for _ in range(in_flight)))
    return total[0]


def main():
    url, requests, in_flight, delay = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    begin = time.monotonic()
    text_bytes = asyncio.run(ask_all(url, requests, in_flight))
    seconds = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"requests": requests, "seconds": seconds,
                      "share_of_rate": requests / seconds / (in_flight / delay),
                      "cpu_us_per_request": (usage.ru_utime + usage.ru_stime) * 1e6 / requests,
                      "peak_rss_mib": usage.ru_maxrss / 1024, "text_bytes": text_bytes}))


main()

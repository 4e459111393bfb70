#!/usr/bin/env python3
"""An OpenAI-compatible HTTP server that misbehaves on purpose; Python's standard library only.

The path says how: /PLAN/v1/chat/completions, where PLAN is a list like "429:2,reset:1". The first
attempts of each request body get these faults in turn, every later one gets the right reply. Without
a plan every attempt gets the right reply. "mixed:3" draws three faults by a hash of the body.

  GET /stats      counts so far     GET /requests   bodies of the last requests
  GET /reset      forgets attempts, counts and bodies

Prints its port on one line and ends when its standard input is closed.
"""
import argparse
import asyncio
import datetime
import hashlib
import json
import os
import socket
import ssl
import struct
import sys

MIXED = ["429", "429-seconds", "429-ratelimit", "500", "502", "503", "529", "reset", "reset-mid",
         "close", "close-mid", "truncated", "malformed", "html", "empty", "http10", "drop", "slow",
         "chunked", "wrong-type", "late-headers"]
STATUS_WORDS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
                404: "Not Found", 422: "Unprocessable Entity", 429: "Too Many Requests",
                500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}


class Reset(Exception):
    """End the connection with RST."""


class Closed(Exception):
    """End the connection with FIN."""


class Replies:
    """The right reply to a request: scripted by a piece of the prompt, else an echo."""

    def __init__(self, script):
        self.script = []
        if script:
            with open(script, encoding="utf-8") as lines:
                self.script = [json.loads(line) for line in lines if line.strip()]

    def choice(self, request):
        if "messages" in request:
            prompt = str(request["messages"][-1].get("content"))
        else:
            prompt = str(request.get("prompt"))
        for entry in self.script:
            if entry["match"] in prompt:
                replies = entry["replies"]
                return replies[request.get("seed", 0) % len(replies)]
        return "reply to " + prompt

    def reply(self, request):
        chat = "messages" in request
        scripted = self.choice(request)
        fields = scripted if isinstance(scripted, dict) else {"content": scripted}
        if "body" in fields:
            return fields["body"]
        text = fields.get("content")
        choice = {"index": 0, "finish_reason": fields.get("finish_reason", "stop")}
        if chat:
            choice["message"] = {"role": "assistant", "content": text, **fields.get("message", {})}
        else:
            choice["text"] = text
        tokens = len((text or "").split())
        return {"id": "reply-1", "object": "chat.completion" if chat else "text_completion",
                "created": 1, "model": request.get("model"), "choices": [choice],
                "usage": {"prompt_tokens": 7, "completion_tokens": tokens,
                          "total_tokens": 7 + tokens}}


class Server:
    def __init__(self, options):
        self.options = options
        self.replies = Replies(options.script)
        self.forget()

    def forget(self):
        self.attempts = {}
        self.bodies = []
        self.counts = {"connections": 0, "requests": 0, "max_in_flight": 0, "completed": 0}
        self.faults = {}
        self.in_flight = 0

    async def connection(self, reader, writer):
        self.counts["connections"] += 1
        try:
            while await self.exchange(reader, writer):
                pass
        except Reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (Closed, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method == "CONNECT":
            raise Closed()
        proxied = target.startswith("http://")
        path = "/" + target.split("/", 3)[3] if proxied else target
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET":
            return await self.information(path, writer)
        self.counts["requests"] += 1
        self.in_flight += 1
        self.counts["max_in_flight"] = max(self.counts["max_in_flight"], self.in_flight)
        full = self.options.max_in_flight and self.in_flight > self.options.max_in_flight
        try:
            self.remember(path, headers, body, proxied)
            if self.options.delay:
                await asyncio.sleep(self.options.delay)
            attempt = Attempt(self, writer, path, headers, body)
            return await (misbehave(attempt, "429") if full else self.answer(attempt))
        finally:
            self.in_flight -= 1

    def remember(self, path, headers, body, proxied):
        if self.options.forgetful:
            return
        self.bodies.append({"path": path, "key": headers.get("authorization"), "proxied": proxied,
                            "type": headers.get("content-type"),
                            "body": body.decode("utf-8", "replace")[:100000]})
        del self.bodies[:-2000]

    async def information(self, path, writer):
        told = {"/stats": {**self.counts, "faults": self.faults}, "/requests": self.bodies}
        if path == "/reset":
            self.forget()
        found = path in told or path == "/reset"
        await send(writer, 200 if found else 404, json.dumps(told.get(path, {})).encode())
        return True

    async def answer(self, attempt):
        fault = self.fault_of(attempt)
        if fault is None:
            self.counts["completed"] += 1
            await send(attempt.writer, 200, attempt.right())
            return True
        self.faults[fault] = self.faults.get(fault, 0) + 1
        return await misbehave(attempt, fault)

    def fault_of(self, attempt):
        plan = attempt.path.split("/v1/")[0].strip("/")
        if not plan:
            return None
        key = hashlib.sha256(attempt.path.encode() + attempt.body).hexdigest()
        number = self.attempts.get(key, 0)
        self.attempts[key] = number + 1
        for part in plan.split(","):
            name, _, times = part.partition(":")
            times = int(times or 1)
            if number < times:
                if name != "mixed":
                    return name
                draw = hashlib.sha256(f"{key}/{number}".encode()).digest()
                return MIXED[draw[0] % len(MIXED)]
            number -= times
        return None


class Attempt:
    def __init__(self, server, writer, path, headers, body):
        self.server, self.writer, self.path = server, writer, path
        self.headers, self.body = headers, body

    def right(self):
        return json.dumps(self.server.replies.reply(json.loads(self.body))).encode()


async def send(writer, status, body, more=(), kind="application/json", length=None):
    lines = [f"HTTP/1.1 {status} {STATUS_WORDS.get(status, 'Status')}", f"Content-Type: {kind}",
             f"Content-Length: {len(body) if length is None else length}", *more]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    await writer.drain()


async def send_slowly(writer, body, pause):
    for i in range(len(body)):
        writer.write(body[i:i + 1])
        await writer.drain()
        await asyncio.sleep(pause)


def error_body(words, **more):
    return json.dumps({"error": {"message": words, "type": "server", **more}}).encode()


async def refuse(attempt, fault):
    """Faults that are an error status: "429", "429-seconds", "401-echo", ..."""
    status = int(fault[:3])
    kind = fault[4:]
    more = []
    if kind == "seconds":
        more = ["Retry-After: 1"]
    elif kind == "date":
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        more = ["Retry-After: " + now.strftime("%a, %d %b %Y %H:%M:%S GMT")]
    elif kind == "day":
        more = ["Retry-After: 86400"]
    elif kind == "ratelimit":
        more = ["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 300ms"]
    words = {"echo": "your key " + attempt.headers.get("authorization", "") + " is wrong\x1b[2J\n!",
             "quota": "You exceeded your current quota",
             "context": "This model's maximum context length is 100 tokens",
             "filter": "The response was filtered"}.get(kind, "status on purpose")
    code = {"quota": "insufficient_quota", "context": "context_length_exceeded",
            "filter": "content_filter"}.get(kind)
    await send(attempt.writer, status, error_body(words, code=code), more)
    return True


async def misbehave(attempt, fault):
    writer = attempt.writer
    if fault[:3].isdigit():
        return await refuse(attempt, fault)
    right = attempt.right()
    half = right[:len(right) // 2]
    if fault == "stall":
        await asyncio.sleep(3600)
    elif fault == "reset":
        raise Reset()
    elif fault == "close":
        raise Closed()
    elif fault in ("stall-mid", "reset-mid", "close-mid"):
        await send(writer, 200, half, length=len(right))
        await asyncio.sleep(3600 if fault == "stall-mid" else 0.02)
        raise Reset() if fault == "reset-mid" else Closed()
    elif fault in ("slow", "trickle"):
        await send(writer, 200, b"", length=len(right))
        await send_slowly(writer, right, 0.002 if fault == "slow" else 0.5)
    elif fault == "truncated":
        await send(writer, 200, half)
    elif fault == "malformed":
        await send(writer, 200, b'{"choices": [{"message": }]}')
    elif fault == "no-choices":
        await send(writer, 200, b'{"choices": []}')
    elif fault == "html":
        await send(writer, 200, b"<html>please log in</html>", kind="text/html")
    elif fault == "wrong-type":
        await send(writer, 200, right, kind="text/plain")
    elif fault == "empty":
        await send(writer, 200, b"")
    elif fault == "not-http":
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()
        raise Closed()
    elif fault == "huge":
        await send(writer, 200, b"", length=64 << 20)
        for _ in range(64):
            writer.write(b" " * (1 << 20))
            await writer.drain()
    elif fault == "huge-no-length":
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(64):
            writer.write(b" " * (1 << 20))
            await writer.drain()
        raise Closed()
    elif fault == "endless-headers":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            await writer.drain()
    elif fault == "http10":
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + right)
        await writer.drain()
        raise Closed()
    elif fault == "drop":
        await send(writer, 200, right, ["Connection: keep-alive"])
        raise Closed()
    elif fault == "chunked":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"\n\n", half, right[len(half):], b""):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
    elif fault == "late-headers":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await send(writer, 200, right)
    elif fault == "redirect":
        await send(writer, 307, b"", ["Location: http://127.0.0.1:1/"])
    else:
        await send(writer, 500, error_body("the server knows no fault " + fault))
    return True


def self_signed(folder):
    """A context with a certificate for 127.0.0.1 that nobody signed; folder/cert.pem."""
    certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    os.system(f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
              f"-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 "
              f"-keyout {key} -out {certificate} 2>/dev/null")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0, help="seconds before every answer")
    parser.add_argument("--max-in-flight", type=int, help="more requests at once get a 429")
    parser.add_argument("--script", help="JSON lines {match, replies: [text or fields]}")
    parser.add_argument("--tls", help="serve TLS; the folder gets cert.pem and key.pem")
    parser.add_argument("--forgetful", action="store_true", help="keep no bodies for /requests")
    options = parser.parse_args()
    server = Server(options)
    context = self_signed(options.tls) if options.tls else None
    listener = await asyncio.start_server(server.connection, "127.0.0.1", options.port, ssl=context,
                                          backlog=1024, limit=1 << 20)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())

// Ranks of a group as threads of the test program.
#pragma once

#include <ATen/Parallel.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "reflect/dist/process_group.h"

namespace reflect {

// A port that nobody listens on just now.
inline int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  ::close(descriptor);
  return ntohs(address.sin_port);
}

inline LaunchEnvironment local_place(int rank, int size) {
  LaunchEnvironment place;
  place.rank = place.local_rank = rank;
  place.world_size = place.local_world_size = size;
  place.master_port = free_port();
  return place;
}

inline void require(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

// Runs `work` as `size` ranks; what each threw, empty where nothing.
inline std::vector<std::string> run_ranks(
    int size, const std::function<void(ProcessGroup&)>& work,
    std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  // libtorch's log of collectives is one for the process; threads that write to it crash.
  ::setenv("TORCH_FR_BUFFER_SIZE", "0", 0);
  std::vector<std::string> failures(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  const int port = free_port();
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      at::set_num_threads(1);  // each rank's own; several would wait for each other's
      try {
        LaunchEnvironment place = local_place(rank, size);
        place.master_port = port;
        ProcessGroup group(place, {.timeout = timeout});
        work(group);
      } catch (const std::exception& error) {
        failures[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return failures;
}

}  // namespace reflect

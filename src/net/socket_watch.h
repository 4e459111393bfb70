// The sockets that libcurl waits for, in epoll.
#pragma once

#include <curl/curl.h>
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace reflect {

// A connection that is kept for the next request stays registered meanwhile: three system calls
// less for each request.
class SocketWatch {
 public:
  SocketWatch();
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;

  // Has `easy` open and close its connections' sockets here, so that it is known which of them are
  // still open. libcurl's others (its resolver's) are registered only as long as it waits for them.
  void watch_connections_of(CURL* easy);
  // CURLMOPT_SOCKETFUNCTION; CURLMOPT_SOCKETDATA is the SocketWatch.
  static int want(CURL*, curl_socket_t socket, int what, void* watch, void*);

  struct Event {
    curl_socket_t socket;
    int action;  // CURL_CSELECT_...
  };
  // Waits until something happens at a socket that libcurl waits for, or one that it has left
  // behind. Error where the system refuses. Valid until the next call.
  std::span<const Event> wait(std::chrono::milliseconds time);

 private:
  struct Socket {
    bool connection = false;
    std::uint32_t registered = 0;  // events in epoll
    std::uint32_t wanted = 0;
  };
  Socket& at(curl_socket_t socket);
  int change(curl_socket_t socket, std::uint32_t events);
  static curl_socket_t open(void* watch, curlsocktype purpose, curl_sockaddr* address);
  static int close(void* watch, curl_socket_t socket);

  int epoll_;
  std::vector<Socket> sockets_;  // by descriptor
  std::array<epoll_event, 256> seen_;
  std::vector<Event> events_;
};

}  // namespace reflect

#include "net/socket_watch.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "reflect/base/error.h"

namespace reflect {

SocketWatch::SocketWatch() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) fail("http", "cannot start: {}", std::strerror(errno));
}

SocketWatch::~SocketWatch() {
  ::close(epoll_);
}

void SocketWatch::watch_connections_of(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
}

SocketWatch::Socket& SocketWatch::at(curl_socket_t socket) {
  const auto place = static_cast<std::size_t>(socket);
  if (place >= sockets_.size()) sockets_.resize(2 * place + 1);
  return sockets_[place];
}

curl_socket_t SocketWatch::open(void* watch, curlsocktype, curl_sockaddr* address) {
  const curl_socket_t socket =
      ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (socket >= 0) static_cast<SocketWatch*>(watch)->at(socket) = {true, 0, 0};
  return socket;
}

int SocketWatch::close(void* watch, curl_socket_t socket) {
  static_cast<SocketWatch*>(watch)->at(socket) = {};  // epoll forgets it too
  return ::close(socket);
}

int SocketWatch::want(CURL*, curl_socket_t socket, int what, void* watch, void*) {
  SocketWatch& self = *static_cast<SocketWatch*>(watch);
  Socket& state = self.at(socket);
  state.wanted = 0;
  if (what != CURL_POLL_REMOVE) {
    if ((what & CURL_POLL_IN) != 0) state.wanted |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) state.wanted |= EPOLLOUT;
  }
  const bool kept = state.wanted == 0 && state.connection;
  return kept || state.wanted == state.registered ? 0 : self.change(socket, state.wanted);
}

int SocketWatch::change(curl_socket_t socket, std::uint32_t events) {
  Socket& state = at(socket);
  epoll_event event = {};
  event.events = events;
  event.data.fd = socket;
  const int what = events == 0             ? EPOLL_CTL_DEL
                   : state.registered != 0 ? EPOLL_CTL_MOD
                                           : EPOLL_CTL_ADD;
  state.registered = events;
  return ::epoll_ctl(epoll_, what, socket, &event);
}

std::span<const SocketWatch::Event> SocketWatch::wait(std::chrono::milliseconds time) {
  events_.clear();
  const int count = ::epoll_wait(epoll_, seen_.data(), static_cast<int>(seen_.size()),
                                 static_cast<int>(time.count()));
  if (count < 0 && errno != EINTR) fail("http", "epoll_wait: {}", std::strerror(errno));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = seen_[static_cast<std::size_t>(i)];
    const Socket& state = at(event.data.fd);
    if (state.wanted == 0) {  // a kept connection that the server closes, say
      if (state.registered != 0) change(event.data.fd, 0);
      continue;
    }
    int action = 0;
    if ((event.events & EPOLLIN) != 0) action |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) action |= CURL_CSELECT_ERR;
    events_.push_back({event.data.fd, action});
  }
  return events_;
}

}  // namespace reflect

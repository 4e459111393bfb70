// Stands in for Gloo's header of this name, which libtorch includes but does not ship: the one
// function that libtorch's own headers call. Objects are made and used inside libtorch alone.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo

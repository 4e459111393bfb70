// Stands in for Gloo's header of this name, which libtorch includes but does not ship: types that
// libtorch's own headers hold pointers to.
#pragma once

namespace gloo::transport {

class Device {
 public:
  virtual ~Device() = 0;
};

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = 0;
};

}  // namespace gloo::transport

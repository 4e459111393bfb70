#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "backend.h"

namespace reflect {

Backend gloo_backend(const StorePointer& store, const LaunchEnvironment& place,
                     const GroupOptions& options) {
  using Gloo = c10d::ProcessGroupGloo;
  auto gloo = Gloo::Options::create(options.timeout);
  if (place.on_one_machine()) {
    // Works on machines whose own name does not resolve, too.
    gloo->devices.push_back(Gloo::createDeviceForHostname("127.0.0.1"));
  } else {
    gloo = Gloo::Options::create_default(options.timeout);  // heeds GLOO_SOCKET_IFNAME
  }
  return {c10::make_intrusive<Gloo>(store, place.rank, place.world_size, gloo), true};
}

}  // namespace reflect

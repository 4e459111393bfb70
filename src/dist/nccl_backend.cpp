#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "backend.h"

namespace reflect {

Backend nccl_backend(const StorePointer& store, const LaunchEnvironment& place,
                     const GroupOptions& options) {
  using Nccl = c10d::ProcessGroupNCCL;
  auto nccl = Nccl::Options::create();
  nccl->timeout = options.timeout;
  auto backend = c10::make_intrusive<Nccl>(store, place.rank, place.world_size, nccl);
  backend->setBoundDeviceId(options.device);
  backend->eagerConnectSingleDevice(options.device);
  return {backend, false};
}

}  // namespace reflect

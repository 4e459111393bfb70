#include "reflect/dist/gpu.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "reflect/base/error.h"

namespace reflect {

at::Device use_gpu(int number) {
  const auto* gpus = c10::impl::getDeviceGuardImpl(at::kCUDA);
  if (number >= gpus->deviceCount())
    fail_usage("dist",
               "local rank {} wants a GPU of its own, but this machine has {}; start fewer "
               "processes on it",
               number, gpus->deviceCount());
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(number));
  gpus->setDevice(device);
  return device;
}

}  // namespace reflect

#include "backend.h"
#include "reflect/base/error.h"

namespace reflect {

Backend nccl_backend(const StorePointer&, const LaunchEnvironment&, const GroupOptions& options) {
  fail_usage("dist",
             "a group on {} needs NCCL, and this program was built without; build the "
             "preset cuda",
             options.device.str());
}

}  // namespace reflect

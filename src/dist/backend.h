// The two c10d backends: Gloo between CPUs, NCCL between GPUs.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "reflect/dist/process_group.h"

namespace reflect {

// A c10d backend and how this project uses it.
struct Backend {
  c10::intrusive_ptr<c10d::Backend> c10d;
  // Gloo gathers through a second buffer as large as the result; broadcasts work in place.
  bool gathers_by_broadcast = false;
};

using StorePointer = c10::intrusive_ptr<c10d::Store>;

Backend gloo_backend(const StorePointer& store, const LaunchEnvironment& place,
                     const GroupOptions& options);
// Throws Error (usage) where this program was built without NCCL.
Backend nccl_backend(const StorePointer& store, const LaunchEnvironment& place,
                     const GroupOptions& options);

}  // namespace reflect

// Where and in which type a model computes.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "reflect/base/runtime.h"

namespace reflect {

struct Runtime {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

// Sets the thread count and what libraries keep in memory for this process, and resolves dtype
// "auto" (bf16 where the processor multiplies it natively, else fp32). Throws Error (usage) when
// the device is not there.
Runtime start_runtime(const RuntimeConfig& config);

// To be called before steps that all need the same memory again: in a program that links jemalloc,
// what is freed from here on stays with the program. Page faults cost a tenth of a step otherwise.
void keep_memory_of_steps();

std::string_view name_of_dtype(at::ScalarType dtype);  // "fp32", "bf16", "fp16"

}  // namespace reflect

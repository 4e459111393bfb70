// How the decoder's own CPU kernels are called: by element type, and row by row on all threads.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {

// Calls work<T>() for the element type that the decoder's kernels know.
template <class Work>
void by_type(at::ScalarType type, const char* kernel, const Work& work) {
  if (type == at::kFloat) {
    work.template operator()<float>();
  } else if (type == at::kBFloat16) {
    work.template operator()<at::BFloat16>();
  } else {
    fail(kernel, "{} is not supported; use fp32 or bf16", c10::toString(type));
  }
}

// Rows a thread takes at least, so that small batches do not pay for threads.
inline std::int64_t grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 32768 / width);
}

// Calls work(row) for rows [0, count) on all threads.
template <class Work>
void for_each_row(std::int64_t count, std::int64_t width, const Work& work) {
  at::parallel_for(0, count, grain(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) work(row);
  });
}

}  // namespace reflect

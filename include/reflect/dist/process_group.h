// Collective operations between the processes of a job: c10d with Gloo for tensors in host memory
// and NCCL for tensors on GPUs.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reflect/dist/launch.h"

namespace reflect {

struct GroupOptions {
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  at::Device device = at::kCPU;  // a GPU with its index: tensors there go through NCCL
};

// A collective on its way.
class Collective {
 public:
  // Until the result is there (on a GPU: until work queued from now on sees it). Throws Error that
  // names the rank that is missing.
  void wait();

 private:
  friend class ProcessGroup;
  struct State;
  std::shared_ptr<State> state_;  // null: done already
};

enum class Reduction { kSum, kMax };

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// A handle: copies are the same group. All ranks call the same operations in the same order, with
// tensors of the same shape and type. Tensors must be contiguous. In a group of one every operation
// is the identity. When a rank dies, or does not come within the time-out, the others get an Error
// that names it.
class ProcessGroup {
 public:
  ProcessGroup();  // of one
  // Meets the other ranks at rank 0. Throws Error that names the ranks that did not come in time.
  ProcessGroup(const LaunchEnvironment& place, const GroupOptions& options);

  int rank() const;
  int size() const;
  // Ranks of this rank's machine (consecutive numbers); 0 where machines have different numbers of
  // them.
  int ranks_of_machine() const;

  // The group of `size` consecutive ranks that this rank is in: ranks 0 to size - 1, and so on. Its
  // collectives run beside this group's; its errors name ranks as this group does. A collective.
  // Throws Error (usage) where `size` does not divide this group's.
  ProcessGroup split(int size) const;

  // In place. The order of summation depends on nothing but the world size and the tensor's: all
  // ranks get the same bits, and the same bits in every run.
  void all_reduce(const at::Tensor& tensor, Reduction reduction = Reduction::kSum);
  // `parts` [size * n] becomes the `part` [n] of every rank, in order of ranks. Both must live, and
  // stay as they are, until the collective is done.
  [[nodiscard]] Collective all_gather(const at::Tensor& parts, const at::Tensor& part);
  // `tensor` becomes that of rank `root`.
  void broadcast(const at::Tensor& tensor, int root = 0);
  void barrier();
  // Returns when all ranks have come, however late. Throws Error when one has ended, or gives no
  // sign of life for the time-out.
  void wait_for_all();

  // The same for single numbers.
  double sum(double value);
  std::int64_t max(std::int64_t value);
  // The text of every rank, in order of ranks. They may come as late as to wait_for_all.
  std::vector<std::string> all_texts(const std::string& mine);
  // What `make` returns on rank 0; the others do not call it.
  std::string from_rank_0(const std::function<std::string()>& make);
  // Names and values that all ranks must have alike. Throws Error with the first that does not.
  void require_same(const NamedTexts& settings);

 private:
  friend class Collective;
  struct State;
  std::shared_ptr<State> state_;  // null in a group of one
};

}  // namespace reflect

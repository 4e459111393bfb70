#include "reflect/dist/process_group.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/util/Logging.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "backend.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "roll_call.h"

namespace reflect {
namespace {

using std::chrono::milliseconds;
using Work = c10::intrusive_ptr<c10d::Work>;

std::string seconds_text(milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000);
}

// The first line: libtorch's messages bring a stack trace.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

StorePointer connect(const LaunchEnvironment& place, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(place.master_port);
  options.isServer = place.rank == 0;
  options.waitWorkers = false;
  options.timeout = timeout;
  if (place.rank == 0 && place.master_socket >= 0) options.masterListenFd = place.master_socket;
  try {
    return c10::make_intrusive<c10d::TCPStore>(place.master_address, options);
  } catch (const std::exception& error) {
    const std::string reason = first_line(error);
    if (place.rank == 0)
      fail("dist", "rank 0 cannot listen on port {} of {}: {}; set MASTER_PORT to a free one",
           place.master_port, place.master_address, reason);
    fail("dist", "rank {} on {} does not reach rank 0 at {}:{} within {}: {}", place.rank,
         host_name(), place.master_address, place.master_port, seconds_text(timeout), reason);
  }
}

// Returns when all ranks have come.
void meet(c10d::Store& store, const LaunchEnvironment& place, milliseconds timeout) {
  std::vector<std::string> keys;
  for (int rank = 0; rank < place.world_size; ++rank)
    keys.push_back(fmt::format("joined/{}", rank));
  std::vector<std::string> missing;
  try {
    store.set(keys[static_cast<std::size_t>(place.rank)], host_name());
    store.wait(keys, timeout);
    return;
  } catch (const std::exception&) {
    for (int rank = 0; rank < place.world_size; ++rank)
      if (!store.check({keys[static_cast<std::size_t>(rank)]}))
        missing.push_back(std::to_string(rank));
  }
  fail("dist",
       "rank {} of {} has not come to {}:{} within {}; see what it says, or raise "
       "--launch.timeout",
       fmt::join(missing, ", "), place.world_size, place.master_address, place.master_port,
       seconds_text(timeout));
}

// How often ranks give a sign of life.
milliseconds interval_for(milliseconds timeout) {
  return std::clamp(timeout / 20, milliseconds(50), milliseconds(500));
}

}  // namespace

struct ProcessGroup::State {
  LaunchEnvironment place;  // in this group
  // This group is some of the ranks of a job, from `first_rank` on.
  int first_rank = 0, job_size = 1;
  std::shared_ptr<State> whole = {};  // the group that this one is a part of: it keeps the store
  int splits = 0;
  GroupOptions options = {};
  StorePointer store;
  std::unique_ptr<RollCall> roll_call;
  Backend host, gpu;
  std::int64_t collectives = 0;  // begun so far
  std::string last_wait = {};    // key of the last wait for all

  Backend& backend_for(const at::Tensor& tensor) {
    if (!tensor.is_contiguous())
      fail("dist", "a tensor of shape [{}] is not contiguous", fmt::join(tensor.sizes(), ", "));
    if (tensor.is_cpu()) return host;
    if (!gpu.c10d) fail("dist", "the group was made without a GPU");
    return gpu;
  }

  // Starts what `begin` starts.
  template <class Begin>
  auto start(const char* name, Begin begin) {
    roll_call->arrive(++collectives);
    try {
      return begin();
    } catch (const std::exception& error) {
      fail_collective(name, error);
    }
  }

  void finish(const char* name, const Work& work) {
    try {
      work->wait();
    } catch (const std::exception& error) {
      fail_collective(name, error);
    }
  }

  [[noreturn]] void fail_collective(const char* name, const std::exception& error) {
    fail("dist", "{} failed on rank {} of {}: {} ({})", name, first_rank + place.rank, job_size,
         roll_call->blame(), first_line(error));
  }

  // Connects the ranks of this group, who have met in the store already.
  void open() {
    roll_call = std::make_unique<RollCall>(
        store->clone(), RollCall::Ranks{place.rank, place.world_size, first_rank},
        interval_for(options.timeout));
    const auto store_for = [&](const char* name) {
      return c10::make_intrusive<c10d::PrefixStore>(name, store);
    };
    host = gloo_backend(store_for("gloo"), place, options);
    if (options.device.is_cuda()) gpu = nccl_backend(store_for("nccl"), place, options);
  }
};

struct Collective::State {
  std::shared_ptr<ProcessGroup::State> group;
  const char* name;
  std::vector<Work> works;
};

void Collective::wait() {
  if (!state_) return;
  for (const Work& work : state_->works) state_->group->finish(state_->name, work);
  state_.reset();
}

ProcessGroup::ProcessGroup() = default;

ProcessGroup::ProcessGroup(const LaunchEnvironment& place, const GroupOptions& options) {
  if (place.world_size == 1) return;
  state_ = std::make_shared<State>();
  State& state = *state_;
  state.place = place;
  state.job_size = place.world_size;
  state.options = options;
  // c10d logs each failure with stack traces before it throws; what it throws is reported here.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  state.store = connect(place, options.timeout);
  meet(*state.store, place, options.timeout);
  state.open();
  barrier();
}

int ProcessGroup::rank() const {
  return state_ ? state_->place.rank : 0;
}

int ProcessGroup::size() const {
  return state_ ? state_->place.world_size : 1;
}

int ProcessGroup::ranks_of_machine() const {
  return state_ ? state_->place.local_world_size : 1;
}

ProcessGroup ProcessGroup::split(int size) const {
  if (size < 1 || this->size() % size != 0)
    fail_usage("dist", "{} processes cannot be split into groups of {}; it must divide them",
               this->size(), size);
  if (size == this->size()) return *this;
  ProcessGroup part;
  if (size == 1) return part;
  const int number = rank() / size;
  part.state_ = std::make_shared<State>();
  State& state = *part.state_;
  state.whole = state_;
  state.place = state_->place;
  state.place.rank = rank() % size;
  state.place.world_size = size;
  // Groups as large as a machine, or smaller by a factor, lie inside one.
  const bool inside =
      state_->place.local_world_size > 0 && state_->place.local_world_size % size == 0;
  state.place.local_world_size = inside ? size : 0;
  state.first_rank = state_->first_rank + number * size;
  state.job_size = state_->job_size;
  state.options = state_->options;
  state.store = c10::make_intrusive<c10d::PrefixStore>(
      fmt::format("split-{}/{}", ++state_->splits, number), state_->store->clone());
  state_->start("split", [&] { state.open(); });
  part.barrier();
  return part;
}

void ProcessGroup::all_reduce(const at::Tensor& tensor, Reduction reduction) {
  if (!state_) return;
  c10d::AllreduceOptions options;
  options.reduceOp = reduction == Reduction::kSum ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
  std::vector<at::Tensor> tensors = {tensor};
  const Work work = state_->start(
      "all_reduce", [&] { return state_->backend_for(tensor).c10d->allreduce(tensors, options); });
  state_->finish("all_reduce", work);
}

Collective ProcessGroup::all_gather(const at::Tensor& parts, const at::Tensor& part) {
  Collective collective;
  if (!state_) {
    parts.view(part.sizes()).copy_(part);
    return collective;
  }
  const Backend& backend = state_->backend_for(parts);
  collective.state_ =
      std::make_shared<Collective::State>(Collective::State{state_, "all_gather", {}});
  std::vector<Work>& works = collective.state_->works;
  state_->start("all_gather", [&] {
    if (!backend.gathers_by_broadcast) {
      at::Tensor output = parts, input = part;
      works.push_back(backend.c10d->_allgather_base(output, input));
      return;
    }
    const std::vector<at::Tensor> slots = parts.chunk(size());
    slots[static_cast<std::size_t>(rank())].copy_(part);
    for (int root = 0; root < size(); ++root) {
      c10d::BroadcastOptions options;
      options.rootRank = root;
      std::vector<at::Tensor> slot = {slots[static_cast<std::size_t>(root)]};
      works.push_back(backend.c10d->broadcast(slot, options));
    }
  });
  return collective;
}

void ProcessGroup::broadcast(const at::Tensor& tensor, int root) {
  if (!state_) return;
  c10d::BroadcastOptions options;
  options.rootRank = root;
  std::vector<at::Tensor> tensors = {tensor};
  const Work work = state_->start(
      "broadcast", [&] { return state_->backend_for(tensor).c10d->broadcast(tensors, options); });
  state_->finish("broadcast", work);
}

void ProcessGroup::barrier() {
  max(0);
}

// The last one to come says so in the store.
void ProcessGroup::wait_for_all() {
  if (!state_) return;
  using Clock = std::chrono::steady_clock;
  constexpr milliseconds kAtOnce(1000);
  c10d::Store& store = *state_->store;
  state_->start("wait_for_all", [&] {
    const std::string key = fmt::format("wait/{}", state_->collectives);
    if (store.add(key, 1) == size()) store.set(key + "/all", "");
    auto heard = Clock::now();  // of all
    for (bool came = false; !came;) {
      try {
        store.wait({key + "/all"}, kAtOnce);
        came = true;
      } catch (const std::exception&) {
        const RollCall::Presence presence = state_->roll_call->presence();
        if (presence == RollCall::Presence::kAll) heard = Clock::now();
        if (presence == RollCall::Presence::kOneLeft) throw;
        if (Clock::now() - heard > state_->options.timeout) throw;
      }
    }
    if (rank() == 0 && !state_->last_wait.empty())  // which all have left behind
      for (const char* end : {"", "/all"}) store.deleteKey(state_->last_wait + end);
    state_->last_wait = key;
  });
}

double ProcessGroup::sum(double value) {
  const at::Tensor tensor = at::scalar_tensor(value, at::kDouble);
  all_reduce(tensor);
  return tensor.item<double>();
}

std::int64_t ProcessGroup::max(std::int64_t value) {
  const at::Tensor tensor = at::scalar_tensor(value, at::kLong);
  all_reduce(tensor, Reduction::kMax);
  return tensor.item<std::int64_t>();
}

std::vector<std::string> ProcessGroup::all_texts(const std::string& mine) {
  if (!state_) return {mine};
  wait_for_all();
  const at::Tensor sizes = at::empty({size()}, at::kLong);
  all_gather(sizes, at::full({1}, static_cast<std::int64_t>(mine.size()), at::kLong)).wait();
  std::vector<std::string> texts;
  for (int r = 0; r < size(); ++r) {
    const std::int64_t bytes = sizes.const_data_ptr<std::int64_t>()[r];
    std::string& text = texts.emplace_back(static_cast<std::size_t>(bytes), '\0');
    if (r == rank()) text = mine;
    if (bytes > 0) broadcast(at::from_blob(text.data(), {bytes}, at::kByte), r);
  }
  return texts;
}

std::string ProcessGroup::from_rank_0(const std::function<std::string()>& make) {
  return all_texts(rank() == 0 ? make() : "").front();
}

void ProcessGroup::require_same(const NamedTexts& settings) {
  if (!state_) return;
  std::string hashes;
  for (const auto& [name, value] : settings) hashes += content_hash(name + "=" + value);
  const std::vector<std::string> all = all_texts(hashes);
  const auto other = std::ranges::find_if(all, [&](const auto& each) { return each != all[0]; });
  if (other == all.end()) return;
  const auto rank = static_cast<std::size_t>(other - all.begin());
  const auto differs =
      static_cast<std::size_t>(std::ranges::mismatch(*other, all[0]).in1 - other->begin());
  const std::size_t index = std::min(differs / content_hash("").size(), settings.size() - 1);
  const std::vector<std::string> values = all_texts(settings[index].second);
  fail("dist",
       "{} of rank {} is {}, of rank 0 {}; all ranks must run the same command on the same files",
       settings[index].first, rank, values[rank], values[0]);
}

}  // namespace reflect

#include "reflect/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "reflect/base/random.h"
#include "reflect/base/signals.h"
#include "reflect/model/safetensors.h"
#include "reflect/train/flops.h"

namespace reflect {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

std::int64_t peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

std::int64_t peak_gpu_mib(const at::Device& device) {
  using c10::CachingAllocator::StatType;
  const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(StatType::AGGREGATE)].peak >> 20;
}

// Model FLOPs of a pack; each row attends to itself only.
double flops_of(const Batch& pack, const LlamaConfig& model, bool lora) {
  double flops = 0;
  for (std::size_t row = 0; row + 1 < pack.offsets.size(); ++row) {
    const auto tokens = static_cast<double>(pack.offsets[row + 1] - pack.offsets[row]);
    flops += tokens * model_flops(model, lora, tokens);
  }
  return flops;
}

}  // namespace

Trainer::Trainer(TrainerConfig config, TunedModel& model, TokenizedCorpus examples,
                 PackStream packs, ProcessGroup group)
    : config_(std::move(config)),
      model_(model),
      examples_(std::move(examples)),
      packs_(std::move(packs)),
      group_(std::move(group)),
      optimizer_(config_.optimizer, model.parameters()),
      checkpoints_(config_.output + "/checkpoints", {config_.keep_checkpoints, config_.keep_best}) {
}

bool Trainer::resume() {
  const std::string state = group_.from_rank_0([this] { return load_newest(); });
  if (state.empty()) return false;
  state_ = train_state_of(Json::parse(state));
  group_.broadcast(model_.parameters().values());
  model_.parameters().publish_values();
  for (const at::Tensor& buffer : optimizer_.buffers()) group_.broadcast(buffer);
  packs_.seek(state_.position);
  return true;
}

std::string Trainer::load_newest() {
  const auto folder = checkpoints_.newest();
  if (!folder) return "";
  try {
    const Json saved = Json::parse(read_file(*folder + "/state.json"));
    require_same_run(saved.at("run"), config_.identity, *folder);
    model_.load_values(*folder);
    optimizer_.load(SafetensorsFile(*folder + "/optimizer.safetensors"));
    return saved.at("state").dump();
  } catch (const std::exception& error) {
    const auto* known = dynamic_cast<const Error*>(&error);
    if (known != nullptr && known->exit_code() == ExitCode::kUsage) throw;  // it is another run's
    fail("train", "the checkpoint {} is damaged: {}; delete it to go on from the one before",
         *folder, error.what());
  }
}

int Trainer::run() {
  return run_steps(config_.length.steps - state_.step);
}

int Trainer::run_steps(std::int64_t count) {
  const bool fresh = state_.step == 0;
  if (group_.rank() == 0) {
    const std::int64_t first = fresh ? 0 : state_.step + 1;
    metrics_.emplace(config_.output + "/metrics.jsonl", first);
    events_.emplace(config_.output + "/tensorboard", first);
    progress_.emplace("train", "tokens", config_.length.tokens - state_.tokens, config_.quiet);
  }
  tokens_at_start_ = state_.tokens;
  started_ = last_save_ = Clock::now();
  if (fresh && (heldout_ || solve_)) {
    measure_heldout();
    log({{"step", 0}});
  }
  const std::int64_t end = std::min(state_.step + count, config_.length.steps);
  while (state_.step < end) {
    const auto start = Clock::now();
    const std::vector<Batch> packs = next_packs();
    const StepReport report = train_step(packs);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    Json line = line_of(report, seconds);
    heldout_sums_.reset();
    solved_.reset();
    if (heldout_due()) measure_heldout();
    log(std::move(line));
    note_skipped(report, packs);
    log_debug("step {}: loss {:.6f}, {} tokens, {:.3f} s", state_.step, report.loss.mean(),
              report.tokens, seconds);
    background_.check();
    // The signal above the wish to save, so that one number tells all ranks of both.
    const std::int64_t wish = group_.max(2 * std::int64_t{signal_received()} + wants_save());
    if (const int signal = static_cast<int>(wish / 2); signal != 0) {
      note_signal(signal);
      save();
      return signal;
    }
    if (wish != 0) begin_save();
  }
  background_.wait();
  group_.barrier();
  if (progress_) progress_->finish();
  report_saves();
  return 0;
}

bool Trainer::wants_save() {
  if (config_.save_every > 0 && state_.step % config_.save_every == 0 &&
      state_.step < config_.length.steps)
    return true;
  if (group_.rank() != 0) return false;  // rank 0 knows the checkpoints and the time
  const std::chrono::duration<double> since = Clock::now() - last_save_;
  return (config_.save_seconds > 0 && since.count() >= config_.save_seconds) || is_among_best();
}

std::vector<Batch> Trainer::next_packs() {
  const std::int64_t done = state_.step * config_.packs_per_step;
  const std::int64_t count = std::min(config_.packs_per_step, config_.length.packs - done);
  std::vector<Batch> packs;
  for (std::int64_t i = 0; i < count; ++i) packs.push_back(packs_.next());
  state_.position = packs_.position();
  return packs;
}

// Pack i of a step is rank (i mod size)'s, where ranks that compute together count as one.
std::vector<Trainer::Share> Trainer::share_of(std::span<const Batch> packs,
                                              const TokenizedCorpus& examples) const {
  const at::Device device = model_.llama().runtime().device;
  const auto ranks = static_cast<std::size_t>(group_.size() / ranks_of_pack());
  const auto own = static_cast<std::size_t>(group_.rank() / ranks_of_pack());
  std::vector<Share> share;
  for (std::size_t first = 0; first < packs.size(); first += ranks) {
    const std::size_t index = first + own;
    share.push_back({index, index < packs.size() ? pack_inputs(examples, packs[index], device)
                                                 : idle_inputs(device)});
  }
  return share;
}

StepTotals Trainer::totals_of(const std::vector<Share>& share) {
  StepTotals totals;
  for (const Share& part : share) {
    totals.weight += part.inputs.weight;
    if (config_.preference && !part.inputs.idle()) totals.preference.add(part.inputs);
  }
  if (!counts()) totals = {};
  sum_over_ranks(group_, {&totals.weight},
                 {&totals.preference.pairs, &totals.preference.chosen_tokens});
  return totals;
}

StepReport Trainer::train_step(std::span<const Batch> packs) {
  StepReport report;
  const bool lora = model_.forward_options().adapter != nullptr;
  for (const Batch& pack : packs) {
    report.tokens += pack.tokens();
    report.flops += flops_of(pack, model_.llama().config(), lora);
  }
  const std::vector<Share> share = share_of(packs, examples_);
  const StepTotals totals = totals_of(share);
  ParameterBuffer& parameters = model_.parameters();
  parameters.zero_gradients();
  for (const Share& part : share) forward_backward(part, totals, report.loss);
  group_.all_reduce(parameters.gradients());
  if (!counts()) report.loss = {};
  report.loss.add_other_ranks(group_);
  report.gradient_norm = parameters.gradient_norm();
  report.learning_rate =
      config_.optimizer.lr * schedule_factor(config_.schedule, state_.step, config_.length.steps);
  report.skipped = !std::isfinite(report.gradient_norm) || !std::isfinite(report.loss.mean());
  if (!report.skipped) {
    if (config_.clip > 0) parameters.clip_gradients(report.gradient_norm, config_.clip);
    optimizer_.step(report.learning_rate);
  }
  ++state_.step;
  state_.tokens += report.tokens;
  state_.trained_tokens += report.loss.trained_tokens();
  state_.skipped_steps += report.skipped;
  state_.skipped_in_a_row = report.skipped ? state_.skipped_in_a_row + 1 : 0;
  return report;
}

void Trainer::forward_backward(const Share& share, const StepTotals& totals, LossSums& sums) {
  const std::uint64_t dropout_key =
      random_key(config_.seed, "dropout", {static_cast<std::uint64_t>(state_.step), share.index});
  const ForwardOptions options = model_.forward_options(dropout_key);
  if (config_.preference) {
    preference_step(share.inputs, options, totals, sums).backward();
  } else {
    const TokenLoss loss = pack_loss(model_.llama(), share.inputs, options, totals.weight);
    loss.sum.backward();
    sums.add(share.inputs, loss.nll);
  }
  model_.parameters().collect_gradients();
}

at::Tensor Trainer::preference_step(const PackInputs& inputs, const ForwardOptions& options,
                                    const StepTotals& totals, LossSums& sums) {
  at::Tensor reference;
  {
    const at::NoGradGuard no_grad;
    reference = pack_nll(model_.llama(), inputs, model_.reference_options());
  }
  const at::Tensor nll = pack_nll(model_.llama(), inputs, options);
  if (inputs.idle()) return (nll * 0).sum();
  const PreferenceLoss loss =
      preference_loss(nll, reference, inputs, *config_.preference, totals.preference);
  sums.add(inputs, nll.detach());
  sums.preference.add(loss);
  return loss.sum;
}

void Trainer::note_skipped(const StepReport& report, const std::vector<Batch>& packs) {
  if (!report.skipped || state_.skipped_in_a_row < config_.max_skipped_steps) return;
  std::vector<std::string> rows;
  for (const Batch& pack : packs)
    for (const std::int64_t row : pack.row_index)
      rows.push_back(examples_[static_cast<std::size_t>(row)].row_id);
  fail("train",
       "loss or gradient not finite in {} steps in a row, the last with rows {}; lower "
       "optimizer.lr or look at these rows",
       state_.skipped_in_a_row, fmt::join(rows, ", "));
}

void Trainer::save() {
  begin_save();
  background_.wait();
  group_.barrier();  // no rank ends, and so ends the job, before the checkpoint is there
}

void Trainer::begin_save() {
  if (group_.rank() != 0) return;
  const auto start = Clock::now();
  background_.wait();
  std::vector<at::Tensor> tensors = optimizer_.buffers();
  tensors.insert(tensors.begin(), model_.parameters().values());
  if (config_.save_behind) tensors = copied(tensors);
  Json state = {{"state", json_of(state_)}, {"run", config_.identity}};
  if (heldout_sums_) state["heldout_loss"] = heldout_sums_->mean();
  background_.start(
      [this, step = state_.step, state = std::move(state), tensors = std::move(tensors)] {
        checkpoints_.save(step, state, [&](const std::string& folder) {
          model_.write_values(folder, at::kFloat, tensors[0]);
          write_safetensors(folder + "/optimizer.safetensors",
                            optimizer_.state_of({tensors[1], tensors[2], tensors[3]}));
        });
      });
  if (!config_.save_behind) background_.wait();
  last_save_ = Clock::now();
  save_blocked_ += std::chrono::duration<double>(last_save_ - start).count();
}

// Into host memory, the same each time.
std::vector<at::Tensor> Trainer::copied(const std::vector<at::Tensor>& tensors) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i == saved_.size())
      saved_.push_back(at::empty(tensors[i].sizes(), tensors[i].options().device(at::kCPU)));
    saved_[i].copy_(tensors[i]);
  }
  return saved_;
}

void Trainer::report_saves() const {
  if (background_.saves() == 0) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  log_info(
      "{} checkpoints: training waited {:.3f} s for them, {:.2f} % of its time, and their "
      "thread took {:.3f} s of CPU time",
      background_.saves(), save_blocked_, 100 * save_blocked_ / seconds, background_.cpu_seconds());
}

Json Trainer::line_of(const StepReport& report, double seconds) const {
  Json line = {{"step", state_.step},
               {"loss", report.loss.mean()},
               {"loss_by_span", loss_by_span(report.loss)},
               {"lr", report.learning_rate},
               {"grad_norm", report.gradient_norm},
               {"skipped", report.skipped},
               {"tokens", state_.tokens},
               {"trained_tokens", state_.trained_tokens},
               {"tokens_per_second", static_cast<double>(report.tokens) / seconds},
               {"seconds", seconds},
               {"seconds_left", seconds_left()},
               {"epoch", state_.position.epoch},
               {"peak_rss_mib", peak_rss_mib()}};
  if (config_.peak_flops > 0) line["mfu"] = report.flops / seconds / config_.peak_flops;
  const at::Device device = model_.llama().runtime().device;
  if (!device.is_cpu()) line["peak_gpu_mib"] = peak_gpu_mib(device);
  if (config_.preference) line["preference"] = json_of(report.loss.preference);
  return line;
}

// At the mean rate since the start.
double Trainer::seconds_left() const {
  const std::chrono::duration<double> elapsed = Clock::now() - started_;
  const auto left = static_cast<double>(config_.length.tokens - state_.tokens);
  const auto done = static_cast<double>(state_.tokens - tokens_at_start_);
  return std::max(0.0, left) * elapsed.count() / std::max(1.0, done);
}

void Trainer::log(Json line) {
  if (!metrics_) return;
  std::string detail = fmt::format("step {}/{}", state_.step, config_.length.steps);
  if (line.contains("loss")) detail += fmt::format(", loss {:.4f}", line["loss"].get<double>());
  if (line.contains("mfu"))
    detail += fmt::format(", MFU {:.0f} %", 100 * line["mfu"].get<double>());
  add_heldout(line);
  if (last_heldout_) detail += fmt::format(", held out {:.4f}", *last_heldout_);
  metrics_->write(line);
  events_->write(std::move(line));
  progress_->update(state_.tokens - tokens_at_start_, detail);
}

}  // namespace reflect

#include "reflect/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/base/signals.h"
#include "reflect/model/safetensors.h"

namespace reflect {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kNoSpan = 6;  // in the arrays of LossSums

std::int64_t peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

Json by_span(const LossSums& sums) {
  Json result = Json::object();
  for (std::size_t type = 0; type < sums.nll.size(); ++type) {
    if (sums.tokens[type] == 0) continue;
    const auto name = type == kNoSpan ? "other" : name_of(static_cast<SpanType>(type));
    result[std::string(name)] = sums.nll[type] / static_cast<double>(sums.tokens[type]);
  }
  return result;
}

Json json_of(const PreferenceSums& sums) {
  const auto pairs = static_cast<double>(sums.pairs);
  return {{"pairs", sums.pairs},
          {"chosen_reward", sums.chosen_reward / pairs},
          {"rejected_reward", sums.rejected_reward / pairs},
          {"margin", (sums.chosen_reward - sums.rejected_reward) / pairs},
          {"accuracy", static_cast<double>(sums.right) / pairs}};
}

// Adds up each number over all ranks.
void sum_over_ranks(ProcessGroup& group, const std::vector<double*>& sums,
                    const std::vector<std::int64_t*>& counts) {
  std::vector<double> values;
  for (const double* sum : sums) values.push_back(*sum);
  for (const std::int64_t* count : counts) values.push_back(static_cast<double>(*count));
  group.all_reduce(
      at::from_blob(values.data(), static_cast<std::int64_t>(values.size()), at::kDouble));
  for (std::size_t i = 0; i < sums.size(); ++i) *sums[i] = values[i];
  for (std::size_t i = 0; i < counts.size(); ++i)
    *counts[i] = static_cast<std::int64_t>(values[sums.size() + i]);
}

}  // namespace

void LossSums::add(const PackInputs& inputs, const at::Tensor& nll_of_target) {
  const at::Tensor values = nll_of_target.cpu(), weights = inputs.weights.cpu();
  const float* nll_data = values.const_data_ptr<float>();
  const float* weight_data = weights.const_data_ptr<float>();
  for (std::size_t i = 0; i < inputs.span_type.size(); ++i) {
    weighted += static_cast<double>(weight_data[i]) * nll_data[i];
    weight += weight_data[i];
    const std::int8_t span = inputs.span_type[i];
    const std::size_t type = span < 0 ? kNoSpan : static_cast<std::size_t>(span);
    nll[type] += nll_data[i];
    ++tokens[type];
  }
}

void PreferenceSums::add(const PreferenceLoss& pack) {
  loss += pack.sum.item<double>();
  chosen_reward += pack.chosen_reward.sum().item<double>();
  rejected_reward += pack.rejected_reward.sum().item<double>();
  pairs += pack.chosen_reward.numel();
  right += (pack.chosen_reward > pack.rejected_reward).sum().item<std::int64_t>();
}

void LossSums::add_other_ranks(ProcessGroup& group) {
  std::vector<double*> sums = {&weighted, &weight, &preference.loss, &preference.chosen_reward,
                               &preference.rejected_reward};
  for (double& sum : nll) sums.push_back(&sum);
  std::vector<std::int64_t*> counts = {&preference.pairs, &preference.right};
  for (std::int64_t& count : tokens) counts.push_back(&count);
  sum_over_ranks(group, sums, counts);
}

std::int64_t LossSums::trained_tokens() const {
  return std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
}

Trainer::Trainer(TrainerConfig config, TunedModel& model, const std::vector<Example>& examples,
                 PackStream packs, ProcessGroup group)
    : config_(std::move(config)),
      model_(model),
      examples_(examples),
      packs_(std::move(packs)),
      group_(std::move(group)),
      optimizer_(config_.optimizer, model.parameters()),
      checkpoints_(config_.output + "/checkpoints", config_.keep_checkpoints) {}

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
  if (group_.rank() == 0) {
    metrics_.emplace(config_.output + "/metrics.jsonl", state_.step + 1);
    events_.emplace(config_.output + "/tensorboard", state_.step + 1);
    progress_.emplace("train", "tokens", config_.length.tokens - state_.tokens, config_.quiet);
  }
  tokens_at_start_ = state_.tokens;
  const std::int64_t end = std::min(state_.step + count, config_.length.steps);
  while (state_.step < end) {
    const auto start = Clock::now();
    const std::vector<Batch> packs = next_packs();
    const StepReport report = train_step(packs);
    log(report, std::chrono::duration<double>(Clock::now() - start).count());
    note_skipped(report, packs);
    const int signal = static_cast<int>(group_.max(signal_received()));
    const bool due = config_.save_every > 0 && state_.step % config_.save_every == 0;
    if (signal != 0) note_signal(signal);
    if (signal != 0 || (due && state_.step < config_.length.steps)) save();
    if (signal != 0) return signal;
  }
  if (progress_) progress_->finish();
  return 0;
}

std::vector<Batch> Trainer::next_packs() {
  const std::int64_t done = state_.step * config_.packs_per_step;
  const std::int64_t count = std::min(config_.packs_per_step, config_.length.packs - done);
  std::vector<Batch> packs;
  for (std::int64_t i = 0; i < count; ++i) packs.push_back(packs_.next());
  state_.position = packs_.position();
  return packs;
}

// Pack i of a step is rank (i mod size)'s.
std::vector<Trainer::Share> Trainer::share_of(std::span<const Batch> packs) const {
  const at::Device device = model_.llama().runtime().device;
  const auto ranks = static_cast<std::size_t>(group_.size());
  std::vector<Share> share;
  for (std::size_t first = 0; first < packs.size(); first += ranks) {
    const std::size_t index = first + static_cast<std::size_t>(group_.rank());
    share.push_back({index, index < packs.size() ? pack_inputs(examples_, packs[index], device)
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
  sum_over_ranks(group_, {&totals.weight},
                 {&totals.preference.pairs, &totals.preference.chosen_tokens});
  return totals;
}

StepReport Trainer::train_step(std::span<const Batch> packs) {
  StepReport report;
  for (const Batch& pack : packs) report.tokens += pack.tokens();
  const std::vector<Share> share = share_of(packs);
  const StepTotals totals = totals_of(share);
  ParameterBuffer& parameters = model_.parameters();
  parameters.zero_gradients();
  for (const Share& part : share) forward_backward(part, totals, report.loss);
  group_.all_reduce(parameters.gradients());
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
  if (group_.rank() == 0)
    checkpoints_.save(state_.step, {{"state", json_of(state_)}, {"run", config_.identity}},
                      [&](const std::string& folder) {
                        model_.write(folder, at::kFloat);
                        write_safetensors(folder + "/optimizer.safetensors", optimizer_.state());
                      });
  group_.barrier();  // no rank ends, and so ends the job, before the checkpoint is there
}

void Trainer::log(const StepReport& report, double seconds) {
  if (!metrics_) return;
  const double rate = static_cast<double>(report.tokens) / seconds;
  Json line = {{"step", state_.step},
               {"loss", report.loss.mean()},
               {"loss_by_span", by_span(report.loss)},
               {"lr", report.learning_rate},
               {"grad_norm", report.gradient_norm},
               {"skipped", report.skipped},
               {"tokens", state_.tokens},
               {"trained_tokens", state_.trained_tokens},
               {"tokens_per_second", rate},
               {"seconds", seconds},
               {"epoch", state_.position.epoch},
               {"peak_rss_mib", peak_rss_mib()}};
  if (config_.preference) line["preference"] = json_of(report.loss.preference);
  metrics_->write(line);
  events_->write(line);
  progress_->update(state_.tokens - tokens_at_start_,
                    fmt::format("step {}/{}, loss {:.4f}", state_.step, config_.length.steps,
                                report.loss.mean()));
}

}  // namespace reflect

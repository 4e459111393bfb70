// What the trainer measures on the way: losses of held-out rows, and problems that are solved.
#include <ATen/core/grad_mode.h>

#include "reflect/base/log.h"
#include "reflect/train/trainer.h"

namespace reflect {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

LossSums Trainer::heldout_loss() {
  const at::NoGradGuard no_grad;
  const std::vector<Share> share = share_of(heldout_->packs, heldout_->examples);
  const StepTotals totals = totals_of(share);
  const ForwardOptions options = model_.forward_options();
  LossSums sums;
  for (const Share& part : share) {
    if (config_.preference) {
      preference_step(part.inputs, options, totals, sums);
    } else {
      sums.add(part.inputs, pack_loss(model_.llama(), part.inputs, options, totals.weight).nll);
    }
  }
  if (!counts()) sums = {};
  sums.add_other_ranks(group_);
  return sums;
}

bool Trainer::heldout_due() const {
  if (!heldout_ && !solve_) return false;
  const std::int64_t every = config_.heldout_every;
  return state_.step == config_.length.steps || (every > 0 && state_.step % every == 0);
}

void Trainer::measure_heldout() {
  if (heldout_) measure_heldout_loss();
  if (solve_) solved_ = solve_();
  if (!solved_) return;
  progress_->clear();
  log_info("held out at step {}: accuracy {:.3f} of {} problems", state_.step, solved_->accuracy(),
           solved_->problems);
}

void Trainer::measure_heldout_loss() {
  heldout_sums_ = heldout_loss();
  if (group_.rank() != 0) return;
  std::string by_span;
  const Json spans = loss_by_span(*heldout_sums_);
  for (const auto& [type, loss] : spans.items())
    by_span += fmt::format("{}{} {:.4f}", by_span.empty() ? "" : ", ", type, loss.get<double>());
  progress_->clear();
  log_info("held out at step {}: loss {:.4f} ({})", state_.step, heldout_sums_->mean(), by_span);
}

void Trainer::add_heldout(Json& line) {
  if (heldout_sums_) {
    Json& heldout = line["heldout"];
    heldout = {{"loss", heldout_sums_->mean()},
               {"loss_by_span", loss_by_span(*heldout_sums_)},
               {"trained_tokens", heldout_sums_->trained_tokens()}};
    if (config_.preference) heldout["preference"] = json_of(heldout_sums_->preference);
    last_heldout_ = heldout_sums_->mean();
  }
  if (solved_) {
    line["heldout"]["accuracy"] = solved_->accuracy();
    line["heldout"]["problems"] = solved_->problems;
  }
}

bool Trainer::is_among_best() {
  if (config_.keep_best == 0 || !heldout_sums_) return false;
  background_.wait();  // for the checkpoint that is being written counts, too
  return checkpoints_.is_among_best(heldout_sums_->mean());
}

}  // namespace reflect

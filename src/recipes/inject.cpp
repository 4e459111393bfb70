#include "recipes/inject.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "recipes/mistake_plan.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

std::string value_text(const StepValue& value) {
  return value.list.empty() ? std::to_string(value.number)
                            : fmt::format("{}", fmt::join(value.list, ", "));
}

std::string joined(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// Steps done after a mistake and before it is noticed.
struct GoneOn {
  std::vector<std::size_t> steps;
  std::vector<std::string> lines;
  std::vector<bool> builds_on_it;
};

// Writes one trace from the first step to the answer.
class Injection {
 public:
  Injection(const InjectPlan& plan, const ExecutedProgram& executed, Random random,
            RedrawCounts& redrawn)
      : plan_(plan),
        executed_(executed),
        family_(executed.family),
        program_(executed.program),
        right_(executed.values),
        random_(random),
        redrawn_(redrawn),
        kinds_(kinds_for(plan, family_)),
        known_(program_.quantities()) {
    std::copy(program_.given.begin(), program_.given.end(), known_.begin());
  }

  // `clean`: without a mistake.
  InjectedTrace write(bool clean) {
    if (plan_.profile && !clean) {
      planned_ = plan_mistakes(plan_, executed_, random_, redrawn_);
    }
    for (std::size_t left = program_.steps.size(); left > 0;) {
      done_ = program_.steps.size() - left;
      std::size_t next = draw_ready(known_, {});
      bool repaired = false;
      while (!clean && !repaired && mistake_comes()) {
        const std::optional<ErrorKind> kind = make_mistake(next);
        if (!kind) break;
        repaired = *kind != ErrorKind::kTooEarly;
        if (plan_.follow && !repaired) break;
      }
      if (!repaired) write_right(next);
      left = static_cast<std::size_t>(std::count(known_.begin(), known_.end(), std::nullopt));
    }
    trace_.output(program_.answer);
    return {trace_.text(), trace_.spans(), std::move(errors_)};
  }

 private:
  // A step that can be done now: any, or the first, by the family; `except` is left out.
  std::size_t draw_ready(const KnownValues& known, const std::vector<std::size_t>& except) {
    std::vector<std::size_t>& ready = candidates_;
    ready.clear();
    for (std::size_t step = 0; step < program_.steps.size(); ++step) {
      const auto [a, b] = program_.steps[step].operands;
      if (known[program_.quantity_of(step)] || !known[a] || !known[b]) continue;
      if (std::find(except.begin(), except.end(), step) != except.end()) continue;
      ready.push_back(step);
      if (!family_.any_order()) break;
    }
    return ready.empty() ? program_.steps.size() : ready[random_.below(ready.size())];
  }

  // A step that is left to do but cannot be done yet.
  std::size_t draw_blocked() {
    std::vector<std::size_t>& blocked = candidates_;
    blocked.clear();
    for (std::size_t step = 0; step < program_.steps.size(); ++step) {
      const auto [a, b] = program_.steps[step].operands;
      if (!known_[program_.quantity_of(step)] && (!known_[a] || !known_[b])) {
        blocked.push_back(step);
      }
    }
    return blocked.empty() ? program_.steps.size() : blocked[random_.below(blocked.size())];
  }

  // Planned ones before a step that a noticed mistake has taken along are left out.
  bool mistake_comes() {
    if (!plan_.profile) return random_.chance(plan_.q);
    const auto later = std::ranges::find_if(
        planned_, [&](const PlannedMistake& each) { return each.position >= done_; });
    planned_.erase(planned_.begin(), later);
    return !planned_.empty() && planned_.front().position == done_;
  }

  // Draws kinds until one fits, a planned one first. After a too early attempt `next` is still to
  // do (under `follow` it has become the step that the attempt led to); after any other mistake it
  // is repaired.
  std::optional<ErrorKind> make_mistake(std::size_t& next) {
    std::vector<ErrorKind> kinds = kinds_;
    if (plan_.profile) {
      const ErrorKind kind = planned_.front().kind;
      planned_.erase(planned_.begin());
      for (int attempt = 0; attempt < 4; ++attempt) {  // it fits, but a proposal may change nothing
        if (try_kind(kind, next)) return kind;
      }
      std::erase(kinds, kind);
      ++redrawn_[static_cast<std::size_t>(kind)];
    }
    while (!kinds.empty()) {
      const auto drawn = kinds.begin() + static_cast<std::ptrdiff_t>(random_.below(kinds.size()));
      const ErrorKind kind = *drawn;
      kinds.erase(drawn);
      if (kind == ErrorKind::kTooEarly && too_many_too_early()) continue;
      if (try_kind(kind, next)) return kind;
      ++redrawn_[static_cast<std::size_t>(kind)];
    }
    return std::nullopt;
  }

  bool try_kind(ErrorKind kind, std::size_t& next) {
    return kind == ErrorKind::kTooEarly ? try_too_early(next) : do_wrong(kind, next);
  }

  bool too_many_too_early() {
    if (plan_.profile) return false;  // the plan has seen to it
    const double kept = kept_too_early(plan_, 1 / static_cast<double>(kinds_.size()));
    return kept < 1 && !random_.chance(kept);
  }

  bool try_too_early(std::size_t& next) {
    std::size_t step = draw_blocked();
    if (step == program_.steps.size()) return false;
    write_attempt(step, true);
    if (!plan_.follow) return true;
    for (step = missing_step(step); is_blocked(step); step = missing_step(step)) {
      write_attempt(step, false);
    }
    next = step;
    return true;
  }

  bool is_blocked(std::size_t step) const {
    const auto [a, b] = program_.steps[step].operands;
    return !known_[a] || !known_[b];
  }

  std::size_t missing_quantity(std::size_t step) const {
    const auto [a, b] = program_.steps[step].operands;
    return known_[a] ? b : a;
  }
  std::size_t missing_step(std::size_t step) const {
    return missing_quantity(step) - program_.given.size();
  }

  void write_attempt(std::size_t step, bool is_error) {
    const std::string line = family_.write(program_, carry_out(program_, step, known_));
    ++round_;
    if (is_error) {
      errors_.push_back({round_, ErrorKind::kTooEarly, step, 0, place()});
      trace_.error(line, round_, Proof::kExecuted);
    } else {
      trace_.correction(line, round_ - 1);
    }
    trace_.reflection(family_.unknown(program_, missing_quantity(step)), round_);
    trace_.thinking("\n");
    to_repair_ = round_;
  }

  void write_right(std::size_t step) {
    write_step(do_right(step), to_repair_);
    to_repair_ = 0;
  }

  // Does the step; returns its line.
  std::string do_right(std::size_t step) {
    const Execution execution = carry_out(program_, step, known_);
    known_[program_.quantity_of(step)] = execution.result;
    return family_.write(program_, execution);
  }

  void write_step(const std::string& line, int repairs) {
    if (repairs != 0) {
      trace_.correction(line, repairs);
      trace_.thinking("\n");
    } else {
      trace_.thinking(line + "\n");
    }
  }

  // Does `next` wrongly, goes on for a while, notices and repairs.
  bool do_wrong(ErrorKind kind, std::size_t next) {
    const std::optional<Execution> wrong = wrong_execution(kind, executed_, known_, next, random_);
    if (!wrong) return false;
    const GoneOn further = go_on(*wrong, next);
    errors_.push_back({++round_, kind, wrong->step, further.steps.size(), place()});
    to_repair_ = 0;
    write_error(*wrong, further);
    trace_.reflection(wording_of(kind, *wrong, next), round_);
    trace_.thinking("\n");
    repair(*wrong, next, further);
    return true;
  }

  StepPlace place() const { return {done_, program_.steps.size()}; }

  GoneOn go_on(const Execution& wrong, std::size_t next) {
    KnownValues believed = known_;
    believed[program_.quantity_of(wrong.step)] = wrong.result;
    std::vector<bool> doubtful(program_.quantities(), false);
    doubtful[program_.quantity_of(wrong.step)] = true;
    GoneOn further;
    for (std::size_t count = draw_notice_after(); count > 0; --count) {
      const std::size_t step = draw_ready(believed, {next, wrong.step});
      if (step == program_.steps.size()) break;
      const Execution execution = carry_out(program_, step, believed);
      if (!execution.result) break;  // the wrong value leads nowhere: noticed at once
      const auto [a, b] = execution.operands;
      const std::size_t quantity = program_.quantity_of(step);
      believed[quantity] = execution.result;
      doubtful[quantity] = doubtful[a] || doubtful[b];
      further.steps.push_back(step);
      further.lines.push_back(family_.write(program_, execution));
      further.builds_on_it.push_back(doubtful[quantity]);
    }
    return further;
  }

  std::size_t draw_notice_after() {
    double left = random_.uniform();
    for (std::size_t i = 0; i < plan_.notice_after.size(); ++i) {
      left -= plan_.notice_after[i];
      if (left < 0) return i;
    }
    return 0;
  }

  // The wrong line and those up to the last that builds on it are the error; later ones are sound.
  void write_error(const Execution& wrong, const GoneOn& further) {
    const auto last = std::find(further.builds_on_it.rbegin(), further.builds_on_it.rend(), true);
    const std::size_t tainted = static_cast<std::size_t>(further.builds_on_it.rend() - last);
    std::vector<std::string> error = {family_.write(program_, wrong)};
    error.insert(error.end(), further.lines.begin(),
                 further.lines.begin() + static_cast<std::ptrdiff_t>(tainted));
    trace_.error(joined(error), round_, Proof::kExecuted);
    trace_.thinking("\n");
    for (std::size_t i = tainted; i < further.lines.size(); ++i) {
      trace_.thinking(further.lines[i] + "\n");
    }
  }

  void repair(const Execution& wrong, std::size_t next, const GoneOn& further) {
    for (std::size_t i = 0; i < further.steps.size(); ++i) {
      const std::size_t quantity = program_.quantity_of(further.steps[i]);
      if (!further.builds_on_it[i]) known_[quantity] = right_[quantity];
    }
    std::vector<std::string> lines = {do_right(next)};
    if (wrong.step != next) lines.push_back(do_right(wrong.step));
    for (std::size_t i = 0; i < further.steps.size(); ++i) {
      if (further.builds_on_it[i]) lines.push_back(do_right(further.steps[i]));
    }
    write_step(joined(lines), round_);
  }

  std::string wording_of(ErrorKind kind, const Execution& wrong, std::size_t next) {
    const std::vector<TextTemplate>& variants = *plan_.reflections[static_cast<std::size_t>(kind)];
    const KnownValues all(right_.begin(), right_.end());
    const Execution right = carry_out(program_, wrong.step, all);
    return variants[random_.below(variants.size())].fill(
        {{"wrong", family_.equation(program_, wrong)},
         {"right", family_.equation(program_, right)},
         {"wrong_value", value_text(*wrong.result)},
         {"right_value", value_text(*right.result)},
         {"wrong_sign", std::string(sign_of(wrong.operation))},
         {"right_sign", std::string(sign_of(right.operation))},
         {"missing", family_.equation(program_, carry_out(program_, next, all))}});
  }

  const InjectPlan& plan_;
  const ExecutedProgram& executed_;
  const Family& family_;
  const Program& program_;
  const std::vector<StepValue>& right_;
  Random random_;
  RedrawCounts& redrawn_;
  std::vector<ErrorKind> kinds_;
  KnownValues known_;
  TraceBuilder trace_;
  std::vector<InjectedError> errors_;
  std::vector<std::size_t> candidates_;
  std::vector<PlannedMistake> planned_;  // still to come, by position
  std::size_t done_ = 0;                 // steps before the one that is being done
  int round_ = 0;
  int to_repair_ = 0;  // the round that the next right step corrects
};

// Shares of the sum; empty where there is none.
std::vector<double> normalised(std::vector<double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (!(sum > 0 && std::isfinite(sum))) return {};
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Tries to get a mistake by chance before it is given up.
constexpr int kTries = 100;

}  // namespace

std::vector<std::string> inject_fields() {
  return {"wrong", "right", "wrong_value", "right_value", "wrong_sign", "right_sign", "missing"};
}

std::vector<double> shares_of(const std::vector<std::string>& weights) {
  std::vector<double> shares;
  for (const std::string& text : weights) {
    double weight = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
    if (error != std::errc() || end != text.data() + text.size() || !(weight >= 0)) return {};
    shares.push_back(weight);
  }
  return normalised(std::move(shares));
}

InjectPlan::InjectPlan(const CorruptStep& step)
    : q(step.q),
      clean_fraction(step.clean_fraction),
      at_least_one(step.at_least_one),
      follow(step.form == "follow"),
      max_too_early(step.max_too_early),
      notice_after(shares_of(step.notice_after)),
      profile(step.profile) {
  if (profile && !profile->notice_after.empty()) {
    notice_after = normalised(profile->notice_after);
  }
  for (const std::string& name : step.kinds) kinds.push_back(*error_kind_named(name));
  for (const auto& [name, variants] : step.reflections) {
    reflections[static_cast<std::size_t>(*error_kind_named(name))] = &variants;
  }
}

InjectedTrace inject(const InjectPlan& plan, const Family& family, const Program& program,
                     Random random, RedrawCounts& redrawn) {
  const bool clean = random.chance(plan.clean_fraction);
  const ExecutedProgram executed = {family, program, execute(program)};
  InjectedTrace trace = Injection(plan, executed, random, redrawn).write(clean);
  if (!plan.at_least_one || clean) return trace;
  for (int i = 0; i < kTries && trace.errors.empty(); ++i) {
    trace = Injection(plan, executed, Random(random.bits()), redrawn).write(false);
  }
  return trace;
}

}  // namespace reflect

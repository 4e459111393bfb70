// The report as the tables that reflect-eval prints.
#include <algorithm>
#include <set>

#include "evaluate/report.h"
#include "reflect/data/bad_rows.h"

namespace reflect {
namespace {

using Cells = std::vector<std::string>;

// Columns padded to their widest cell; the first to the left, the others to the right.
std::string aligned(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths;
  for (const Cells& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Cells& row : rows) {
    text += fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::string percent(const Interval& interval) {
  return fmt::format("[{:.1f}, {:.1f}]", 100 * interval.low, 100 * interval.high);
}

std::string per_answer(std::int64_t count, const ArmSummary& summary, int digits) {
  return fmt::format("{:.{}f}", static_cast<double>(count) / static_cast<double>(summary.answers),
                     digits);
}

std::string count_of(const std::map<std::string, std::int64_t>& counts, const std::string& name) {
  const auto found = counts.find(name);
  return std::to_string(found == counts.end() ? 0 : found->second);
}

std::string list_of(const std::map<std::string, std::int64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  }
  return text;
}

std::string header(const Report& report) {
  std::string text = fmt::format("{} problems of {}", report.problems, report.config.input);
  if (!report.rejected.empty()) text += "; rejected rows: " + list_of_counts(report.rejected);
  text += report.config.answer_fallback
              ? "\ngraded: <output>, or without one the final answer of the text (fallback)\n"
              : "\ngraded: the text of <output> alone\n";
  if (report.contamination) {
    const Contamination& found = *report.contamination;
    text += fmt::format("contamination by {} rows of {}: {} problems exact, {} by 13 words\n",
                        found.rows, found.train_rows, found.exact.size(), found.partial.size());
  }
  return text;
}

std::string arms_table(const Report& report) {
  const bool sampled = report.config.samples > 1;
  Cells head = {"arm", "accuracy", "95 % interval", "right"};
  if (sampled) head.emplace_back("majority");
  for (const char* name : {"tokens", "reflections", "no output", "cut off"}) {
    head.emplace_back(name);
  }
  if (report.config.answer_fallback) head.emplace_back("fallback");
  std::vector<Cells> rows = {head};
  for (const ArmReport& arm : report.arms) {
    const ArmSummary& summary = arm.summary;
    Cells row = {summary.name, percent(summary.accuracy.value), percent(summary.accuracy.interval),
                 fmt::format("{}/{}", summary.right, summary.answers)};
    if (sampled) row.push_back(percent(summary.majority_accuracy));
    row.push_back(per_answer(summary.new_tokens, summary, 1));
    row.push_back(per_answer(summary.reflections, summary, 2));
    row.push_back(std::to_string(summary.without_output));
    row.push_back(count_of(summary.finishes, "length"));
    if (report.config.answer_fallback) row.push_back(std::to_string(summary.by_fallback));
    rows.push_back(std::move(row));
  }
  return aligned(rows);
}

// Numbers by value, before all other names.
bool group_before(const std::string& a, const std::string& b) {
  const auto number = [](const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return std::pair(text.empty() || *end != '\0', value);
  };
  return std::pair(number(a), a) < std::pair(number(b), b);
}

std::string groups_table(const Report& report) {
  std::set<std::string, decltype(&group_before)> groups(group_before);
  for (const ArmReport& arm : report.arms) {
    for (const auto& [group, accuracy] : arm.summary.of_group) groups.insert(group);
  }
  if (groups.empty()) return "";
  Cells head = {"accuracy by " + report.config.group_by};
  for (const std::string& group : groups) {
    head.push_back(
        fmt::format("{} (n = {})", group, report.arms.front().summary.of_group.at(group).problems));
  }
  std::vector<Cells> rows = {head};
  for (const ArmReport& arm : report.arms) {
    Cells row = {arm.summary.name};
    for (const std::string& group : groups) {
      const Accuracy& accuracy = arm.summary.of_group.at(group);
      row.push_back(percent(accuracy.value) + " " + percent(accuracy.interval));
    }
    rows.push_back(std::move(row));
  }
  return fmt::format("\n{}", aligned(rows));
}

std::string pairs_table(const Report& report) {
  if (report.pairs.empty()) return "";
  std::vector<Cells> rows = {
      {"difference", "points", "95 % interval", "gained", "lost", "McNemar p"}};
  for (const PairSummary& pair : report.pairs) {
    rows.push_back({pair.second + " - " + pair.first, fmt::format("{:+.1f}", 100 * pair.difference),
                    percent(pair.interval), std::to_string(pair.gained), std::to_string(pair.lost),
                    fmt::format("{:.2g}", pair.p)});
  }
  return fmt::format("\n{}", aligned(rows));
}

std::string draft_text(const DraftSummary& draft) {
  std::string text = fmt::format(
      "\nreflections of {} against its draft ({}):\n"
      "  reflected in {} of {} answers: {} repaired (wrong to right), {} broken (right to wrong),\n"
      "  {} right before and after (false alarms), {} wrong before and after\n"
      "  did not reflect: {} right, {} wrong (missed)\n",
      draft.final, draft.draft, draft.reflected, draft.answers, draft.repaired, draft.broke,
      draft.stayed_right, draft.stayed_wrong, draft.let_pass, draft.missed);
  if (!draft.base.empty()) {
    text += fmt::format("  of {} answers that {} has right, {} erred first in {}\n",
                        draft.base_right, draft.base, draft.final, draft.erred_first);
  }
  return text;
}

std::string issues_text(const Report& report) {
  std::string text;
  for (const ArmReport& arm : report.arms) {
    if (arm.summary.issues.empty()) continue;
    text += fmt::format("\nform issues of {} (answers): {}", arm.config.name,
                        list_of(arm.summary.issues));
  }
  return text.empty() ? text : text + "\n";
}

std::string prompt_warnings(const Report& report) {
  std::string text;
  for (const ArmReport& arm : report.arms) {
    if (arm.prompts.agreement() != "different") continue;
    text += fmt::format(
        "\nwarning: {} was trained with another system prompt than it is asked with here "
        "(hashes {} against {})\n",
        arm.config.name, list_of(arm.prompts.trained), list_of(arm.prompts.asked));
  }
  return text;
}

}  // namespace

std::string text_of(const Report& report) {
  std::string text =
      header(report) + "\n" + arms_table(report) + groups_table(report) + pairs_table(report);
  for (const DraftSummary& draft : report.drafts) text += draft_text(draft);
  return text + issues_text(report) + prompt_warnings(report);
}

}  // namespace reflect

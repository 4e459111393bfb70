#include "score/correctness.h"

#include "reflect/tasks/checker.h"

namespace reflect {

namespace {

std::optional<bool> recorded_verdict(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  for (const char* name : {"correct", "verdict"}) {
    const auto found = object.find(name);
    if (found == object.end()) continue;
    if (found->is_boolean()) return found->get<bool>();
    if (found->is_object() && found->contains("right") && found->at("right").is_boolean())
      return found->at("right").get<bool>();
  }
  return std::nullopt;
}

std::optional<bool> recorded(const Record& record) {
  if (const auto verdict = recorded_verdict(record.other)) return verdict;
  return recorded_verdict(record.lineage);
}

std::optional<bool> checked(const Record& record) {
  if (!record.answer) return std::nullopt;
  const std::string response = instruction_fields(record).output;
  const Checker checker = Checker::named("auto");
  std::optional<std::string> final_answer;
  if (const Trace trace = parse_trace(response); !trace.output.empty())
    final_answer = trace.output;
  else
    final_answer = extract_final_answer(response);
  const std::string& gold = *record.answer;
  const Verdict verdict = checker.check(final_answer.value_or(response), gold);
  if (verdict.right) return true;
  if (verdict.reason == "bad_gold") return std::nullopt;
  if (final_answer) return false;
  // Text without a marked answer is wrong only where all of it reads as another one.
  const bool readable = check_number(gold, gold).right || check_choice(gold, gold).right;
  return readable && verdict.reason == "wrong" ? std::optional(false) : std::nullopt;
}

}  // namespace

std::optional<bool> correctness(const Record& record, const std::string& by) {
  if (by == "off") return std::nullopt;
  if (by != "checker")
    if (const auto verdict = recorded(record)) return verdict;
  return by == "recorded" ? std::nullopt : checked(record);
}

}  // namespace reflect

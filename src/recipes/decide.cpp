#include "recipes/decide.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "reflect/base/error.h"
#include "reflect/base/white_space.h"
#include "reflect/data/language.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

std::optional<double> score_of(std::string_view text) {
  text = trimmed(text);
  if (text == "right" || text == "pass") return 1;
  if (text == "wrong" || text == "fail" || text.empty()) return 0;
  double score = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), score);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return score;
}

std::optional<std::string> filled(const TextTemplate& text, const RowFields& fields) {
  if (text.empty()) return std::nullopt;
  return std::string(trimmed(fields.fill(text)));
}

}  // namespace

Comparison comparison_of(const CheckStep& step, const Recipe& recipe, const TraceRow& row) {
  const RowFields fields(recipe, row);
  return {fields.list(step.field), std::string(trimmed(fields.fill(step.against)))};
}

void check(const CheckStep& step, const Recipe& recipe, const std::vector<TeacherReply>& replies,
           TraceRow& row) {
  const Comparison comparison = comparison_of(step, recipe, row);
  if (comparison.gold.empty()) return row.reject("no_gold_answer");
  const auto found = compare(step.checker, comparison, replies, row);
  if (!found) return;
  std::vector<std::string> verdicts;
  std::string reason;
  for (const Verdict& verdict : *found) {
    verdicts.emplace_back(verdict.right ? "right" : "wrong");
    if (!verdict.right && reason.empty()) reason = verdict.reason;
  }
  if (verdicts.empty()) reason = "empty";
  row.fields[step.into] = std::move(verdicts);
  if (!reason.empty() && step.otherwise == "reject") row.reject("wrong_answer", reason);
}

void vote(const VoteStep& step, const Recipe& recipe, TraceRow& row) {
  const std::vector<std::string> answers = RowFields(recipe, row).list(step.field);
  const Checker checker = Checker::named(step.checker);
  std::size_t winner = answers.size(), most = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (trimmed(answers[i]).empty()) continue;
    const auto votes =
        static_cast<std::size_t>(std::ranges::count_if(answers, [&](const std::string& other) {
          return checker.check(trimmed(other), trimmed(answers[i])).right;
        }));
    if (votes > most) {
      winner = i;
      most = votes;
    }
  }
  if (winner == answers.size()) return row.reject("no_answers");
  const double share = static_cast<double>(most) / static_cast<double>(answers.size());
  if (share < step.at_least) {
    return row.reject("no_majority", fmt::format("{} of {} agree", most, answers.size()));
  }
  row.fields[step.into] = {std::string(trimmed(answers[winner]))};
  row.lineage["votes"][step.into] = fmt::format("{}/{}", most, answers.size());
}

void choose(const ChooseStep& step, const Recipe& recipe, TraceRow& row) {
  const RowFields fields(recipe, row);
  const std::vector<std::string> from = fields.list(step.from);
  const std::vector<std::string> scores = fields.list(step.by);
  if (from.empty() || scores.empty() || scores.size() % from.size() != 0) {
    return row.reject("no_scores", fmt::format("{} elements in {}, {} scores in {}", from.size(),
                                               step.from, scores.size(), step.by));
  }
  const std::size_t each = scores.size() / from.size();
  std::vector<double> sums(from.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::optional<double> score = score_of(scores[i]);
    if (!score) return row.reject("no_scores", fmt::format("\"{}\" is no score", scores[i]));
    sums[i / each] += *score;
  }
  const auto best = std::ranges::max_element(sums);
  const double mean = *best / static_cast<double>(each);
  if (mean < step.at_least) return row.reject("low_score", fmt::format("{:.3g}", mean));
  row.fields[step.into] = {from[static_cast<std::size_t>(best - sums.begin())]};
}

void pick(const PickStep& step, const Recipe& recipe, TraceRow& row, Random random) {
  std::vector<std::string> from = RowFields(recipe, row).list(step.from);
  if (from.empty()) return row.reject("empty_list", step.from);
  row.fields[step.into] = {std::move(from[random.below(from.size())])};
}

void require(const RequireStep& step, const Recipe& recipe, TraceRow& row) {
  const RowFields fields(recipe, row);
  if (!fields.holds(step.that)) {
    return row.reject("not_as_required",
                      fmt::format("{} is \"{}\"", step.that.field, fields.text(step.that.field)));
  }
  if (step.field.empty()) return;
  const std::size_t length = fields.text(step.field).size();
  const std::size_t other = step.of.empty() ? 0 : fields.text(step.of).size();
  const auto says = [&] { return fmt::format("{} has {} bytes", step.field, length); };
  if (length < static_cast<std::size_t>(step.min_length)) return row.reject("too_short", says());
  if (static_cast<double>(length) < step.at_least * static_cast<double>(other)) {
    return row.reject("too_short", fmt::format("{}, {} has {}", says(), step.of, other));
  }
  if (step.max_length != 0 && length > static_cast<std::size_t>(step.max_length)) {
    return row.reject("too_long", says());
  }
  if (step.language.empty()) return;
  const auto language = language_of(fields.text(step.field));
  if (language && std::ranges::find(step.language, *language) == step.language.end()) {
    row.reject("other_language", fmt::format("{} is in {}", step.field, *language));
  }
}

void mark_distinct(const DistinctStep& step, std::size_t number, const Recipe& recipe,
                   TraceRow& row) {
  row.distinct[number] = RowFields(recipe, row).text(step.field);
}

std::vector<TraceRow> assemble(const AssembleStep& step, const Recipe& recipe,
                               const TraceRow& row) {
  const RowFields fields(recipe, row);
  std::vector<TraceRow> rows;
  for (const AssembledTexts& texts :
       step.rows.empty() ? std::vector<AssembledTexts>{step.row} : step.rows) {
    TraceRow& made = rows.emplace_back(row);
    made.assembled =
        AssembledRow{filled(texts.variant, fields).value_or(""), filled(texts.system, fields),
                     filled(texts.prompt, fields), filled(texts.answer, fields)};
    made.response = filled(texts.response, fields).value_or("");
    made.solution.reply = made.response;
    made.errors.clear();
    const Trace trace = parse_trace(made.response);
    made.spans = trace.ok() ? trace.spans : std::vector<Span>();
    for (const std::string& name : step.lineage) {
      std::vector<std::string> values = fields.list(name);
      if (values.size() == 1) {
        made.lineage[name] = std::move(values.front());
      } else {
        made.lineage[name] = std::move(values);
      }
    }
    if (made.response.empty()) made.reject("empty_response");
  }
  return rows;
}

}  // namespace reflect

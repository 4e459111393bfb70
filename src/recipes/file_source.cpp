#include <algorithm>
#include <filesystem>

#include "recipes/solution.h"
#include "recipes/source.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

const std::string& text_field(const Json& row, const std::string& name, const std::string& where) {
  const auto field = row.find(name);
  if (field == row.end() || !field->is_string()) {
    fail("replay", "{}: field '{}' is missing or not text", where, name);
  }
  return field->get_ref<const std::string&>();
}

Record problem_of(const std::string& prompt, const std::string& answer) {
  Record problem;
  problem.messages.push_back({"user", prompt});
  problem.answer = answer;
  problem.id = content_id(problem);
  return problem;
}

SourceTask gsm8k_task(const Json& row, const std::string& where) {
  const std::string& gold = text_field(row, "ground_truth", where);
  const std::optional<std::string> answer = extract_final_answer(gold);
  if (!answer) fail("replay", "{}: 'ground_truth' has no line \"A: answer\"", where);
  SourceTask task;
  task.problem = problem_of(text_field(row, "question", where), *answer);
  task.gold_steps = steps_of(gold);
  for (const auto& [name, value] : row.items()) {
    if (!value.is_object()) continue;
    Solution solution = solution_of(name, text_field(value, "solution", where));
    const auto mark = value.find("is_correct");
    if (mark != value.end() && mark->is_boolean()) solution.marked_right = mark->get<bool>();
    task.solutions.push_back(std::move(solution));
  }
  return task;
}

// The right way to solve an expression, step by step; nothing for other problems.
std::vector<std::string> steps_of_expression(std::string input, const std::string& target) {
  if (const std::size_t end = input.find_last_not_of(" ="); end != input.npos) input.erase(end + 1);
  const std::optional<Program> program = program_of_expression(input);
  if (!program || program->answer != target) return {};
  const std::vector<StepValue> values = execute(*program);
  const std::unique_ptr<Family> family = make_family(program->family);
  std::vector<std::string> steps;
  for (std::size_t step = 0; step < program->steps.size(); ++step) {
    steps.push_back(
        family->write(*program, carry_out(*program, step, {values.begin(), values.end()})));
  }
  return steps;
}

std::vector<std::string> words_in(std::string_view text) {
  constexpr std::string_view kWhiteSpace = " \t\r\n";
  std::vector<std::string> words;
  for (std::size_t at = text.find_first_not_of(kWhiteSpace); at != text.npos;) {
    const std::size_t end = std::min(text.find_first_of(kWhiteSpace, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(kWhiteSpace, end);
  }
  return words;
}

// The text without regard to white space.
std::string words_text(std::string_view text) {
  return fmt::format("{}", fmt::join(words_in(text), " "));
}

// Whether `target` is the words of `input` in order.
bool is_sorting(const std::string& input, const std::string& target) {
  std::vector<std::string> words = words_in(input);
  std::sort(words.begin(), words.end());
  return words.size() > 1 && words == words_in(target);
}

SourceTask big_bench_task(const Json& row, const std::string& where) {
  const std::string& input = text_field(row, "input", where);
  const std::string& target = text_field(row, "target", where);
  const bool sorting = is_sorting(input, target);
  SourceTask task;
  task.problem = problem_of(sorting ? "Sort these words alphabetically: " + input : input, target);
  task.gold_steps = steps_of_expression(input, target);
  if (sorting) {
    task.gold_steps = {fmt::format("Compared letter by letter, the order is: {}.",
                                   fmt::join(words_in(target), ", "))};
  }
  Solution solution;
  solution.source = "recorded";
  for (const Json& step : row.at("steps")) {
    if (!step.is_string()) fail("replay", "{}: 'steps' is not a list of texts", where);
    solution.steps.push_back(step.get<std::string>());
  }
  solution.output = text_field(row, "answer", where);
  if (row.contains("mistake_index") && !row["mistake_index"].is_null()) {
    const Json& index = row["mistake_index"];
    if (!index.is_number_unsigned() || index.get<std::size_t>() >= solution.steps.size()) {
      fail("replay", "{}: 'mistake_index' is {}, not one of {} steps", where, index.dump(),
           solution.steps.size());
    }
    solution.mistake = index.get<std::size_t>();
  }
  task.solutions.push_back(std::move(solution));
  return task;
}

SourceTask recorded_task(const Json& row, const std::string& where) {
  SourceTask task;
  task.problem = record_of(row, where);
  if (const auto worked = worked_solution(task.problem, Annotations::kRemove)) {
    task.gold_steps = steps_of(*worked);
  }
  if (!task.problem.response.empty()) {
    task.solutions.push_back(solution_of_reply("recorded", task.problem.response));
    task.problem.response.clear();
    task.problem.spans.clear();
  }
  return task;
}

}  // namespace

SourceTask task_of(const Json& row, const std::string& where) {
  if (row.contains("ground_truth")) return gsm8k_task(row, where);
  if (row.contains("steps") && row["steps"].is_array() && row.contains("target")) {
    return big_bench_task(row, where);
  }
  return recorded_task(row, where);
}

bool in_training_part(std::string_view prompt, double fraction) {
  return static_cast<double>(content_hash64("split " + words_text(prompt)) >> 11) * 0x1p-53 <
         fraction;
}

// A row that cannot be read is in the first part.
std::optional<SourceTask> ShardSource::next() {
  while (auto task = source_->next()) {
    const bool readable = !task->problem.messages.empty();
    const std::uint64_t hash =
        readable ? content_hash64("shard " + words_text(task->problem.prompt())) : 0;
    const auto part = static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(shard_.count));
    if (part == shard_.index) return task;
  }
  return std::nullopt;
}

std::optional<std::string_view> FileSource::next_line() {
  const auto line = lines_.next();
  if (!line) return line;
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;
  mark_ = {mark_.items + 1, (mark_.hash ^ content_hash64(*line)) * kOdd};
  return line;
}

bool FileSource::skip_to(const SourceMark& mark) {
  while (mark_.items < mark.items && next_line()) {
  }
  return mark_ == mark;
}

std::int64_t FileSource::problems() const {
  if (!std::filesystem::is_regular_file(lines_.path())) return 0;
  LineReader lines(lines_.path());
  std::int64_t count = 0;
  while (const auto line = lines.next()) {
    count += line->find_first_not_of(" \t\r") == line->npos ? 0 : 1;
  }
  return count;
}

std::optional<SourceTask> FileSource::next() {
  while (const auto line = next_line()) {
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    const std::string where = fmt::format("{}:{}", lines_.path(), lines_.line_number());
    SourceTask task;
    try {
      task = task_of(parse_json_line(*line, where), where);
    } catch (const Error& error) {
      task.refused = "bad_row";
      task.problem.other["detail"] = error.what();
    }
    task.place = lines_.line_number();
    const bool split = task.refused.empty() && split_.part != "all";
    if (split &&
        in_training_part(task.problem.prompt(), split_.fraction) != (split_.part == "train")) {
      task.refused = "other_part";
      task.not_meant = true;
    }
    return task;
  }
  return std::nullopt;
}

}  // namespace reflect

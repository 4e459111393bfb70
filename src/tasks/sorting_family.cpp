// Sorting by insertion: each step puts the next number into the list that is sorted so far.
#include <algorithm>

#include "tasks/families.h"
#include "tasks/text_cursor.h"

namespace reflect {
namespace {

std::string list_text(const std::vector<std::int64_t>& items) {
  std::string text;
  for (const std::int64_t item : items) {
    if (!text.empty()) text += ", ";
    text += std::to_string(item);
  }
  return text;
}

std::optional<std::vector<std::int64_t>> read_list(TextCursor& text) {
  std::vector<std::int64_t> items;
  do {
    const std::optional<std::int64_t> item = text.number();
    if (!item) return std::nullopt;
    items.push_back(*item);
  } while (text.take(", "));
  return items;
}

// A line is "Number 3: 5 into 2, 9 gives 2, 5, 9", an attempt "Number 3: 5 into ?".
class SortingFamily : public Family {
 public:
  std::string_view name() const override { return "sorting"; }
  int max_operations() const override { return 48; }

  Program make(Random& random, int operations) const override {
    std::vector<std::int64_t> numbers(99);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int64_t>(i) + 1;
    random.shuffle(numbers);
    numbers.resize(static_cast<std::size_t>(operations) + 1);

    Program program;
    program.family = "sorting";
    program.prompt = "Sort these numbers from small to large: " + list_text(numbers) + ".";
    program.given.push_back({0, {numbers[0]}});
    for (std::size_t i = 1; i < numbers.size(); ++i) {
      program.given.push_back({numbers[i], {}});
      const std::size_t list = i == 1 ? 0 : numbers.size() + i - 2;
      program.steps.push_back(
          {Operation::kInsert, {list, i}, "Number " + std::to_string(i + 1) + ": ", {}});
    }
    program.names.resize(program.quantities());
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      program.names[program.quantity_of(i)] =
          "The list with number " + std::to_string(i + 2) + " in it";
    }
    program.answer = list_text(execute(program).back().list);
    return program;
  }

  std::string write(const Program& program, const Execution& execution) const override {
    return program.steps.at(execution.step).before + equation(program, execution);
  }

  std::string equation(const Program&, const Execution& execution) const override {
    std::string text = std::to_string(execution.values[1]->number) + " into ";
    if (!execution.values[0]) return text + "?";
    text += list_text(execution.values[0]->list);
    return text += " gives " + list_text(execution.result->list);
  }

  std::optional<Execution> read(const Program& program, std::string_view line) const override {
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      const ProgramStep& step = program.steps[i];
      TextCursor text(line);
      if (!text.take(step.before)) continue;
      Execution execution{i, step.operation, step.operands, {}, {}};
      const std::optional<std::int64_t> item = text.number();
      if (!item || !text.take(" into ")) return std::nullopt;
      execution.values[1] = StepValue{*item, {}};
      if (text.take("?")) return text.at_end() ? std::optional(execution) : std::nullopt;
      const auto list = read_list(text);
      if (!list || !text.take(" gives ")) return std::nullopt;
      const auto result = read_list(text);
      if (!result || !text.at_end()) return std::nullopt;
      execution.values[0] = StepValue{0, *list};
      execution.result = StepValue{0, *result};
      return execution;
    }
    return std::nullopt;
  }

  std::string unknown(const Program& program, std::size_t quantity) const override {
    return program.names.at(quantity) + " is not known yet.";
  }
};

}  // namespace

std::unique_ptr<Family> make_sorting_family() {
  return std::make_unique<SortingFamily>();
}

}  // namespace reflect

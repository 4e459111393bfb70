// Arithmetic modulo m over a dependency graph whose definitions come shuffled: each step is easy,
// the order is the problem. The text is short and regular, for models of a few million parameters.
#include <algorithm>

#include "reflect/base/error.h"
#include "tasks/dependency_graph.h"
#include "tasks/families.h"
#include "tasks/text_cursor.h"

namespace reflect {
namespace {

class GraphFamily : public Family {
 public:
  explicit GraphFamily(const GraphConfig& config) : config_(config) { check(); }

  std::string_view name() const override { return "graph"; }
  int max_operations() const override {
    return static_cast<int>(config_.letters.size()) -
           static_cast<int>(config_.constants + config_.max_irrelevant);
  }
  bool any_order() const override { return true; }

  Program make(Random& random, int operations) const override;
  std::string write(const Program& program, const Execution& execution) const override;
  std::optional<Execution> read(const Program& program, std::string_view line) const override;

  std::string equation(const Program& program, const Execution& execution) const override {
    return write(program, execution);
  }
  std::string unknown(const Program& program, std::size_t quantity) const override {
    return " " + program.names.at(quantity) + " unknown";
  }

 private:
  void check() const;
  Operation draw_operation(Random& random) const {
    return *operation_of_sign(config_.operators[random.below(config_.operators.size())]);
  }
  std::vector<std::string> draw_irrelevant(Random& random, std::vector<char> letters,
                                           std::size_t used) const;

  GraphConfig config_;
};

// " c:a c+b,": each piece joins a name with what it is asked for, so that it can be one token.
std::string head_text(std::string_view name, std::string_view a, Operation operation,
                      std::string_view b) {
  std::string text = " ";
  text.append(name).append(":").append(a).append(" ").append(name);
  return text.append(sign_of(operation)).append(b).append(",");
}

// " c=9"
std::string value_text(std::string_view name, const StepValue& value) {
  std::string text = " ";
  return text.append(name).append("=").append(std::to_string(value.number));
}

void GraphFamily::check() const {
  if (config_.modulus < 2 || config_.constants < 2 || config_.max_irrelevant < 0) {
    fail_usage("procedural.graph",
               "modulus {}, constants {} and max_irrelevant {} must be at least 2, 2 and 0",
               config_.modulus, config_.constants, config_.max_irrelevant);
  }
  for (const char sign : config_.operators) {
    if (!operation_of_sign(sign) || sign == '/') {
      fail_usage("procedural.graph", "operator '{}' is not one of + - *", sign);
    }
  }
  if (config_.operators.empty()) fail_usage("procedural.graph", "operators is empty; give + - *");
}

// Definitions of variables letters[used], letters[used + 1], ... over any two before them.
std::vector<std::string> GraphFamily::draw_irrelevant(Random& random, std::vector<char> letters,
                                                      std::size_t used) const {
  const std::size_t count = random.below(static_cast<std::uint64_t>(config_.max_irrelevant) + 1);
  std::vector<std::string> definitions;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t before = used + i;
    const std::size_t a = random.below(before);
    const std::size_t b = (a + 1 + random.below(before - 1)) % before;
    definitions.push_back(head_text({&letters[before], 1}, {&letters[a], 1}, draw_operation(random),
                                    {&letters[b], 1}));
  }
  return definitions;
}

Program GraphFamily::make(Random& random, int operations) const {
  Program program;
  program.family = "graph";
  program.modulus = config_.modulus;
  std::vector<char> letters(config_.letters.begin(), config_.letters.end());
  random.shuffle(letters);

  std::vector<std::string> definitions;
  const std::size_t constants = static_cast<std::size_t>(config_.constants);
  for (std::size_t i = 0; i < constants; ++i) {
    program.names.emplace_back(1, letters[i]);
    program.given.push_back({static_cast<std::int64_t>(random.below(config_.modulus)), {}});
    definitions.push_back(value_text(program.names[i], program.given[i]));
  }
  for (const auto& operands :
       draw_dependencies(random, constants, static_cast<std::size_t>(operations))) {
    program.names.emplace_back(1, letters[program.names.size()]);
    program.steps.push_back({draw_operation(random), operands, {}, {}});
    definitions.push_back(head_text(program.names.back(), program.names[operands[0]],
                                    program.steps.back().operation, program.names[operands[1]]));
  }
  for (std::string& text : draw_irrelevant(random, letters, program.names.size())) {
    definitions.push_back(std::move(text));
  }
  random.shuffle(definitions);

  program.prompt = "Mod " + std::to_string(config_.modulus) + ":";
  for (const std::string& text : definitions) program.prompt += text;
  program.prompt += " " + program.names.back() + "?";
  program.answer = std::to_string(execute(program).back().number);
  return program;
}

std::string GraphFamily::write(const Program& program, const Execution& execution) const {
  const auto& [a, b] = execution.operands;
  const std::string& name = program.names.at(program.quantity_of(execution.step));
  std::string line = head_text(name, program.names.at(a), execution.operation, program.names.at(b));
  if (execution.values[0]) line += value_text(program.names[a], *execution.values[0]);
  if (!execution.result) return line;
  line += value_text(program.names[b], *execution.values[1]);
  line.append(" ").append(std::to_string(execution.values[0]->number));
  line.append(sign_of(execution.operation));
  line.append(std::to_string(execution.values[1]->number));
  return line += value_text(name, *execution.result);
}

// Reads one letter and returns the quantity of that name.
std::optional<std::size_t> read_name(TextCursor& text, const Program& program) {
  const std::optional<char> letter = text.character();
  if (!letter) return std::nullopt;
  const auto found = std::find_if(program.names.begin(), program.names.end(),
                                  [&](const std::string& name) { return name[0] == *letter; });
  if (found == program.names.end()) return std::nullopt;
  return static_cast<std::size_t>(found - program.names.begin());
}

// Reads " c=9" for the quantity c.
std::optional<StepValue> read_value(TextCursor& text, const Program& program,
                                    std::size_t quantity) {
  if (!text.take(" ") || read_name(text, program) != quantity || !text.take("=")) {
    return std::nullopt;
  }
  const std::optional<std::int64_t> number = text.number();
  if (!number) return std::nullopt;
  return StepValue{*number, {}};
}

// Reads " c:a c+b,".
std::optional<Execution> read_head(TextCursor& text, const Program& program) {
  if (!text.take(" ")) return std::nullopt;
  const std::optional<std::size_t> target = read_name(text, program);
  if (!target || program.is_given(*target) || !text.take(":")) return std::nullopt;
  const std::optional<std::size_t> a = read_name(text, program);
  if (!a || !text.take(" ") || read_name(text, program) != target) return std::nullopt;
  const std::optional<char> sign = text.character();
  const std::optional<Operation> operation = sign ? operation_of_sign(*sign) : std::nullopt;
  const std::optional<std::size_t> b = read_name(text, program);
  if (!operation || !b || !text.take(",")) return std::nullopt;
  return Execution{*target - program.given.size(), *operation, {*a, *b}, {}, {}};
}

std::optional<Execution> GraphFamily::read(const Program& program, std::string_view line) const {
  TextCursor text(line);
  std::optional<Execution> execution = read_head(text, program);
  if (!execution || text.at_end()) return execution;
  const auto [a, b] = execution->operands;
  const std::optional<StepValue> left = read_value(text, program, a);
  execution->values[0] = left;
  if (left && text.at_end()) return execution;
  const std::optional<StepValue> right = read_value(text, program, b);
  if (!left || !right || !text.take(" ") || text.number() != left->number ||
      !text.take(sign_of(execution->operation)) || text.number() != right->number) {
    return std::nullopt;
  }
  execution->values[1] = right;
  execution->result = read_value(text, program, program.quantity_of(execution->step));
  if (!execution->result || !text.at_end()) return std::nullopt;
  return execution;
}

}  // namespace

std::unique_ptr<Family> make_graph_family(const GraphConfig& config) {
  return std::make_unique<GraphFamily>(config);
}

}  // namespace reflect

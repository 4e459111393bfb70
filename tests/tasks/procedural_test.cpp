// Generated problems: their steps compute their answers, and each step's line reads back.
#include "reflect/tasks/procedural.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "reflect/base/error.h"

using namespace reflect;

namespace {

std::string answer_text(const StepValue& value) {
  if (value.list.empty()) return std::to_string(value.number);
  std::string text;
  for (const std::int64_t item : value.list) {
    text += (text.empty() ? "" : ", ") + std::to_string(item);
  }
  return text;
}

std::vector<std::optional<StepValue>> all_known(const Program& program) {
  const std::vector<StepValue> values = execute(program);
  return {values.begin(), values.end()};
}

// Operations that the answer needs, by walking back from the last step.
std::size_t needed_steps(const Program& program) {
  std::set<std::size_t> needed = {program.quantities() - 1};
  for (std::size_t step = program.steps.size(); step-- > 0;) {
    if (!needed.contains(program.quantity_of(step))) continue;
    for (const std::size_t operand : program.steps[step].operands) needed.insert(operand);
  }
  std::size_t steps = 0;
  for (const std::size_t quantity : needed) steps += program.is_given(quantity) ? 0 : 1;
  return steps;
}

ProceduralConfig config_of(const std::string& family, const std::string& operations) {
  ProceduralConfig config;
  config.family = {family};
  config.operations = {operations};
  return config;
}

}  // namespace

TEST_CASE("apply computes exactly or not at all") {
  CHECK(apply(Operation::kAdd, {3, {}}, {4, {}})->number == 7);
  CHECK(apply(Operation::kSubtract, {3, {}}, {9, {}}, 7)->number == 1);
  CHECK(apply(Operation::kDivide, {12, {}}, {4, {}})->number == 3);
  CHECK_FALSE(apply(Operation::kDivide, {12, {}}, {5, {}}));
  CHECK_FALSE(apply(Operation::kDivide, {12, {}}, {0, {}}));
  CHECK_FALSE(apply(Operation::kMultiply, {2'000'000, {}}, {2'000'000, {}}));
  CHECK_FALSE(apply(Operation::kMultiply, {INT64_MAX, {}}, {INT64_MAX, {}}));
  CHECK_FALSE(apply(Operation::kAdd, {0, {1, 2}}, {3, {}}));
  CHECK(apply(Operation::kInsert, {0, {2, 9}}, {5, {}})->list ==
        std::vector<std::int64_t>{2, 5, 9});
}

TEST_CASE("the steps of every family compute its answer and are all needed") {
  for (const std::string& name : family_names()) {
    for (const int operations : {1, 2, 3, 5, 8}) {
      const ProblemGenerator generator(config_of(name, std::to_string(operations)), 17);
      for (std::size_t i = 0; i < 200; ++i) {
        const Program program = generator.make(i);
        INFO(name << " " << i << ": " << program.prompt);
        REQUIRE(program.family == name);
        REQUIRE(program.steps.size() == static_cast<std::size_t>(operations));
        REQUIRE(program.names.size() == program.quantities());
        REQUIRE(needed_steps(program) == program.steps.size());
        REQUIRE(answer_text(execute(program).back()) == program.answer);
        REQUIRE(program.prompt.find(program.answer + " ") != 0);
      }
    }
  }
}

TEST_CASE("a step's line says what the step did, right, wrong or stopped") {
  for (const std::string& name : family_names()) {
    const ProblemGenerator generator(config_of(name, "4-6"), 3);
    for (std::size_t i = 0; i < 60; ++i) {
      const Program program = generator.make(i);
      const Family& family = generator.family_of(i);
      const auto known = all_known(program);
      for (std::size_t step = 0; step < program.steps.size(); ++step) {
        const Execution right = carry_out(program, step, known);
        INFO(family.write(program, right));
        REQUIRE(family.read(program, family.write(program, right)) == right);

        StepValue changed = *right.result;
        if (changed.list.empty()) {
          changed.number += 1;
        } else {
          changed.list.push_back(100);
        }
        Execution wrong = right;
        wrong.result = changed;
        REQUIRE(family.read(program, family.write(program, wrong)) == wrong);
        REQUIRE_FALSE(family.read(program, family.write(program, right) + "!"));

        for (const std::size_t missing : {0, 1}) {
          if (program.is_given(program.steps[step].operands[missing])) continue;
          auto unknown = known;
          unknown[program.steps[step].operands[missing]].reset();
          const Execution attempt = carry_out(program, step, unknown);
          REQUIRE_FALSE(attempt.result);
          const auto read = family.read(program, family.write(program, attempt));
          REQUIRE(read);
          CHECK(read->step == step);
          CHECK_FALSE(read->result);
          CHECK_FALSE(read->values[missing]);
        }
      }
      CHECK_FALSE(family.read(program, ""));
      CHECK_FALSE(family.read(program, "nothing of the kind"));
    }
  }
}

TEST_CASE("equal seeds give equal problems, other seeds others") {
  for (const std::string& name : family_names()) {
    const ProblemGenerator first(config_of(name, "5"), 1), again(config_of(name, "5"), 1),
        other(config_of(name, "5"), 2);
    std::set<std::string> prompts;
    int shared = 0;
    for (std::size_t i = 0; i < 100; ++i) {
      const std::string prompt = first.make(99 - i).prompt;
      CHECK(prompt == again.make(99 - i).prompt);
      shared += prompt == other.make(99 - i).prompt ? 1 : 0;
      prompts.insert(prompt);
    }
    CHECK(shared <= 1);
    CHECK(prompts.size() >= 90);  // there are only so many conversions of five steps
  }
}

TEST_CASE("families and step counts are taken in turn") {
  ProceduralConfig config;
  config.family = {"words", "units"};
  config.operations = {"2", "4-5"};
  const ProblemGenerator generator(config, 0);
  const std::vector<int> expected = {2, 2, 4, 4, 5, 5, 2, 2};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(generator.operations_of(i) == expected[i]);
    CHECK(generator.family_of(i).name() == config.family[i % 2]);
    CHECK(generator.make(i).steps.size() == static_cast<std::size_t>(expected[i]));
  }
}

TEST_CASE("the demo family is drawn as it is defined") {
  constexpr std::size_t kProblems = 4000;
  ProceduralConfig config = config_of("graph", "6");
  config.graph = {11, 4, 4, "abcdefghijklmnopqrstuvwxyz", "+-*"};
  const ProblemGenerator generator(config, 5);
  std::map<std::int64_t, int> constants;
  std::map<Operation, int> operators;
  int operand_pairs = 0, later_operands = 0, irrelevant = 0;
  for (std::size_t i = 0; i < kProblems; ++i) {
    const Program program = generator.make(i);
    REQUIRE(program.given.size() == 4);
    for (const StepValue& value : program.given) ++constants[value.number];
    std::set<std::string> names(program.names.begin(), program.names.end());
    REQUIRE(names.size() == program.names.size());
    for (std::size_t step = 0; step < program.steps.size(); ++step) {
      const auto [a, b] = program.steps[step].operands;
      REQUIRE(a != b);
      REQUIRE(std::max(a, b) < program.quantity_of(step));
      ++operators[program.steps[step].operation];
      if (step == 0) continue;
      operand_pairs += 1;
      later_operands += (program.is_given(a) ? 0 : 1) + (program.is_given(b) ? 0 : 1);
    }
    irrelevant += static_cast<int>(std::count(program.prompt.begin(), program.prompt.end(), ','));
  }
  CHECK(constants.size() == 11);
  for (const auto& [value, count] : constants) {
    CHECK(value >= 0);
    CHECK(count == Approx(4.0 * kProblems / 11).epsilon(0.1));
  }
  CHECK(operators.size() == 3);
  for (const auto& [operation, count] : operators) {
    CHECK(count == Approx(2.0 * kProblems).epsilon(0.05));
  }
  // 0.65 an operand before pairs are drawn again, which favours operations.
  CHECK(later_operands / (2.0 * operand_pairs) > 0.5);
  CHECK(later_operands / (2.0 * operand_pairs) < 0.75);
  CHECK(irrelevant / static_cast<double>(kProblems) == Approx(6 + 2).epsilon(0.02));
}

TEST_CASE("a configuration that cannot be met is a usage error that says why") {
  const auto message_of = [](const ProceduralConfig& config) -> std::string {
    try {
      ProblemGenerator(config, 0);
    } catch (const Error& error) {
      CHECK(error.exit_code() == ExitCode::kUsage);
      return error.what();
    }
    return "no error";
  };
  CHECK(message_of(config_of("grahp", "4")).find("did you mean 'graph'") != std::string::npos);
  CHECK(message_of(config_of("graph", "0")).find("'0'") != std::string::npos);
  CHECK(message_of(config_of("graph", "8-4")).find("'8-4'") != std::string::npos);
  CHECK(message_of(config_of("graph", "4x")).find("'4x'") != std::string::npos);
  CHECK(message_of(config_of("units", "9")).find("at most 8") != std::string::npos);
  ProceduralConfig division = config_of("graph", "4");
  division.graph.operators = "+/";
  CHECK(message_of(division).find("'/'") != std::string::npos);
}

TEST_CASE("a written expression becomes its program") {
  const auto program = program_of_expression("((-9 - 5 - 0) - (4 + 3 + -5)) * (7 - -7 * 4)");
  REQUIRE(program);
  CHECK(program->answer == "-560");
  CHECK(execute(*program).back().number == -560);
  const auto family = make_family("arithmetic");
  const auto known = all_known(*program);
  CHECK(family->write(*program, carry_out(*program, 0, known)) == "-9 - 5 = -14");
  CHECK(family->write(*program, carry_out(*program, 3, known)) == "4 + 3 + (-5) = 7 + (-5) = 2");
  CHECK(program_of_expression("2 + 3 * 4")->answer == "14");
  CHECK(program_of_expression("2 * 3 - 4 - 5")->answer == "-3");
  for (const char* text : {"", "7", "3 +", "3 + (4", "3 + 4)", "7 / 2", "x + 1", "3 ++ 4"}) {
    CHECK_FALSE(program_of_expression(text));
  }
  CHECK_FALSE(program_of_expression(std::string(100'000, '(') + "1 + 1"));
}

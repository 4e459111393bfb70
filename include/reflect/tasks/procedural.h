// Generated problem families: each problem is a pure function of seed, index and number of steps.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/base/random.h"
#include "reflect/tasks/program.h"

namespace reflect {

// A kind of problem and the language of its steps. One step is one line of text.
class Family {
 public:
  virtual ~Family() = default;
  virtual std::string_view name() const = 0;
  virtual int max_operations() const = 0;
  virtual Program make(Random& random, int operations) const = 0;

  // The line of a step. An execution without a result reads as an attempt that stops at what is
  // not known.
  virtual std::string write(const Program& program, const Execution& execution) const = 0;
  // What a line written by `write` says; nothing for any other text. Operands that the text does
  // not name are taken from the program.
  virtual std::optional<Execution> read(const Program& program, std::string_view line) const = 0;
  // The bare equation of a step, for a remark about it: "3 * 4 = 12".
  virtual std::string equation(const Program& program, const Execution& execution) const = 0;
  // The remark that `quantity` is not known yet.
  virtual std::string unknown(const Program& program, std::size_t quantity) const = 0;

  // Whether steps come in a random possible order instead of the program's.
  virtual bool any_order() const { return false; }
  // Whether steps are parts of one written expression, so that precedence can be mistaken.
  virtual bool infix() const { return false; }
};

// Arithmetic modulo m over a shuffled dependency graph with operations that the answer does not
// need.
struct GraphConfig {
  std::int64_t modulus = 7;
  std::int64_t constants = 4;
  std::int64_t max_irrelevant = 2;
  std::string letters = "abcdefghijklmn";
  std::string operators = "+-";

  void visit(auto& v) {
    v("modulus", modulus, "All arithmetic is modulo this.");
    v("constants", constants, "Variables whose value is given.");
    v("max_irrelevant", max_irrelevant,
      "At most so many operations that the answer does not need.");
    v("letters", letters, "Names to draw from, one character each.");
    v("operators", operators, "Operators to draw from.");
  }
};

struct ProceduralConfig {
  std::vector<std::string> family = {"graph"};
  std::vector<std::string> operations = {"4"};
  GraphConfig graph;

  void visit(auto& v) {
    v("family", family,
      "Problem families, taken in turn: graph, arithmetic, words, units, sorting.");
    v("operations", operations,
      "Steps a problem needs, taken in turn; a number or a range: 4,6-8.");
    v("graph", graph, "");
  }
};

std::vector<std::string> family_names();
std::unique_ptr<Family> make_family(const std::string& name, const ProceduralConfig& config = {});

// The arithmetic family's program of a written expression: integers, + - * /, brackets, signs of
// numbers. Nothing where the text is none, has no operator, or a value that is not exact.
std::optional<Program> program_of_expression(std::string_view text);

// The families and step counts of a configuration; problem i takes them in turn.
class ProblemGenerator {
 public:
  // Throws Error (usage) for an unknown family, or a step count that a family cannot make.
  ProblemGenerator(const ProceduralConfig& config, std::uint64_t seed);

  const Family& family_of(std::size_t index) const;
  int operations_of(std::size_t index) const;
  Program make(std::size_t index) const;

 private:
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Family>> families_;
  std::vector<int> operations_;
};

}  // namespace reflect

// Whether an answer is right: numbers, choices and exact text, compared with the gold answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

struct Verdict {
  bool right = false;
  std::string reason;      // "right", "wrong", "empty", "not_a_number", "not_a_choice", "bad_gold";
                           // further ones with each checker
  std::string normalized;  // the answer as it was understood; empty when it was not
};

// One number, with nothing around it but a currency sign, a percent sign, units of up to three
// words, \boxed{}, $...$ or a full stop: 1/2 = 0.5 = \frac{1}{2} = 50%, 1,000 = 1000 = 1e3,
// $18 = 18 dollars, 2 1/2 = 2.5, 2 million = 2000000. Compared exactly. A sentence that holds the
// number is no answer. A percent sign on one side only may also stand for the number itself.
Verdict check_number(std::string_view answer, std::string_view gold);

// One letter A to Z in either case: A, (A), [A], A. or A), which the option's text may follow
// ("(A) Paris", "A. Paris", "A: Paris") unless it holds another choice in brackets.
Verdict check_choice(std::string_view answer, std::string_view gold);

// The same text, white space at the ends removed and runs of it taken as one space.
Verdict check_exact(std::string_view answer, std::string_view gold);

// One of the checks, chosen by name; "auto" chooses by the gold answer: number where it is one,
// else choice where it is one letter, else math (math_checker.h) where it is LaTeX, else exact.
// "unit_tests" runs the answer as a program (code_checker.h); the gold answer is the tests.
class Checker {
 public:
  static Checker named(std::string_view name);  // Error (usage) that lists the known names
  static const std::vector<std::string>& names();
  const std::string& name() const { return name_; }
  Verdict check(std::string_view answer, std::string_view gold) const;

 private:
  explicit Checker(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

// The final answer of a GSM8K-style solution: what follows "####" on the last line that starts with
// it, else "A:" on the last line; trimmed. Nothing without either.
std::optional<std::string> extract_final_answer(std::string_view solution);

}  // namespace reflect

// What families have in common whose steps are written as one equation within a sentence.
#pragma once

#include "reflect/tasks/procedural.h"

namespace reflect {

// A line is `before`, the equation, `after`: "Ben has 3 + 4 = 7 apples.". Where `before` is the
// equation's own left side ("3 * 4 = "), that side is not written twice. An operand that is not
// known reads "?", and there the line stops: "Ben has 3 + ?".
class EquationFamily : public Family {
 public:
  std::string write(const Program& program, const Execution& execution) const override;
  std::optional<Execution> read(const Program& program, std::string_view line) const override;
  std::string equation(const Program& program, const Execution& execution) const override;
  std::string unknown(const Program& program, std::size_t quantity) const override;
};

// A number as an operand: negative ones after an operator are in parentheses.
std::string operand_text(std::int64_t number, bool is_right);

}  // namespace reflect

// What an expression is worth: exactly where it is rational, else by its values at a few points.
#pragma once

#include <array>
#include <complex>
#include <cstdint>
#include <optional>
#include <string_view>

#include "reflect/tasks/rational.h"

namespace reflect {

struct MathValue {
  static constexpr std::size_t kPoints = 3;
  using Complex = std::complex<long double>;

  Rational exact;                      // not a number for all but rational numbers that fit
  std::optional<std::uint64_t> field;  // modulo 2^61 - 1, of rational functions of variables
  std::array<Complex, kPoints> at{};   // with variables at fixed positive points
  int infinity = 0;                    // its sign

  static MathValue of(const Rational& number);
  static MathValue variable(std::string_view name);
  static MathValue pi();
  static MathValue euler();
  static MathValue imaginary();
  static MathValue infinite();
};

MathValue operator-(const MathValue& a);
MathValue operator+(const MathValue& a, const MathValue& b);
MathValue operator-(const MathValue& a, const MathValue& b);
MathValue operator*(const MathValue& a, const MathValue& b);
MathValue operator/(const MathValue& a, const MathValue& b);  // by zero: equal to nothing
MathValue power(const MathValue& base, const MathValue& exponent);
MathValue root(const MathValue& of, const MathValue& degree);  // the principal one
MathValue absolute(const MathValue& of);
MathValue factorial(const MathValue& of);  // of an integer up to 170, else equal to nothing
// "sin", "ln", ...; nothing for a name that is none.
std::optional<MathValue> apply_function(std::string_view name, const MathValue& argument);
bool is_function(std::string_view name);

// A value that is not finite (0/0, an overflow) equals nothing.
bool equal(const MathValue& a, const MathValue& b);
bool is_finite(const MathValue& value);

}  // namespace reflect

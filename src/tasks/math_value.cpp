#include "tasks/math_value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

using Complex = MathValue::Complex;

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
constexpr long double kNan = std::numeric_limits<long double>::quiet_NaN();
constexpr long double kRelative = 1e-12L;  // between two ways to compute one value
constexpr long double kAbsolute = 1e-17L;  // what a rounded zero may be
constexpr int kMaxFactorial = 170;
constexpr std::int64_t kMaxExponent = 100000;

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>(static_cast<Int128>(a) * static_cast<Int128>(b) %
                                    static_cast<Int128>(kPrime));
}

std::uint64_t power_in_field(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = product(result, base);
    base = product(base, base);
  }
  return result;
}

std::uint64_t reduced(Int128 value) {
  const Int128 rest = value % static_cast<Int128>(kPrime);
  return static_cast<std::uint64_t>(rest < 0 ? rest + static_cast<Int128>(kPrime) : rest);
}

std::optional<std::uint64_t> quotient(std::uint64_t a, std::uint64_t b) {
  if (b == 0) return std::nullopt;
  return product(a, power_in_field(b, kPrime - 2));  // Fermat
}

template <class Operation>
MathValue combined(const MathValue& a, const MathValue& b, Operation operation) {
  MathValue result;
  for (std::size_t i = 0; i < MathValue::kPoints; ++i) {
    const bool infinite = a.infinity != 0 || b.infinity != 0;
    result.at[i] = infinite ? Complex(kNan) : operation(a.at[i], b.at[i]);
  }
  return result;
}

template <class Operation>
MathValue mapped(const MathValue& a, Operation operation) {
  return combined(a, a, [&](const Complex& x, const Complex&) { return operation(x); });
}

// A constant that no polynomial with rational coefficients has as its root acts as a variable.
MathValue constant(std::string_view name, long double value) {
  MathValue result = MathValue::variable(name);
  result.at.fill(Complex(value));
  return result;
}

// The integer whose degree-th power is `value`.
std::optional<Int128> exact_root(Int128 value, int degree) {
  if (value < 0) return std::nullopt;
  const auto guess = static_cast<Int128>(std::round(
      std::pow(static_cast<long double>(value), 1.0L / static_cast<long double>(degree))));
  for (Int128 candidate = std::max<Int128>(guess - 1, 0); candidate <= guess + 1; ++candidate) {
    Rational powered(1);
    for (int i = 0; i < degree; ++i) powered = powered * Rational(candidate);
    if (powered == Rational(value)) return candidate;
  }
  return std::nullopt;
}

std::optional<std::int64_t> small_integer(const MathValue& value, std::int64_t limit) {
  if (!value.exact.is_integer()) return std::nullopt;
  const Int128 number = value.exact.numerator();
  if (number > limit || number < -limit) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Complex cotangent(const Complex& x) {
  return Complex(1) / std::tan(x);
}

struct Function {
  std::string_view name;
  Complex (*apply)(const Complex&);
};

constexpr std::array<Function, 16> kFunctions = {{
    {"sin", [](const Complex& x) { return std::sin(x); }},
    {"cos", [](const Complex& x) { return std::cos(x); }},
    {"tan", [](const Complex& x) { return std::tan(x); }},
    {"cot", [](const Complex& x) { return cotangent(x); }},
    {"sec", [](const Complex& x) { return Complex(1) / std::cos(x); }},
    {"csc", [](const Complex& x) { return Complex(1) / std::sin(x); }},
    {"arcsin", [](const Complex& x) { return std::asin(x); }},
    {"arccos", [](const Complex& x) { return std::acos(x); }},
    {"arctan", [](const Complex& x) { return std::atan(x); }},
    {"sinh", [](const Complex& x) { return std::sinh(x); }},
    {"cosh", [](const Complex& x) { return std::cosh(x); }},
    {"tanh", [](const Complex& x) { return std::tanh(x); }},
    {"ln", [](const Complex& x) { return std::log(x); }},
    {"log", [](const Complex& x) { return std::log10(x); }},
    {"lg", [](const Complex& x) { return std::log10(x); }},
    {"exp", [](const Complex& x) { return std::exp(x); }},
}};

bool near(const Complex& a, const Complex& b) {
  const long double largest = std::max(std::abs(a), std::abs(b));
  if (!std::isfinite(largest)) return false;
  return std::abs(a - b) <= std::max(kRelative * largest, kAbsolute);
}

}  // namespace

MathValue MathValue::of(const Rational& number) {
  MathValue value;
  value.exact = number;
  value.at.fill(Complex(kNan));
  if (!number.is_number()) return value;
  value.field = quotient(reduced(number.numerator()), reduced(number.denominator()));
  value.at.fill(Complex(static_cast<long double>(number.numerator()) /
                        static_cast<long double>(number.denominator())));
  return value;
}

MathValue MathValue::variable(std::string_view name) {
  MathValue value;
  value.field = content_hash64(fmt::format("math {}", name)) % kPrime;
  for (std::size_t i = 0; i < kPoints; ++i) {
    const std::uint64_t bits = content_hash64(fmt::format("point {} {}", i, name));
    value.at[i] = Complex(0.5L + 2.0L * static_cast<long double>(bits >> 11) * 0x1p-53L);
  }
  return value;
}

MathValue MathValue::pi() {
  return constant("pi", std::numbers::pi_v<long double>);
}
MathValue MathValue::euler() {
  return constant("e", std::numbers::e_v<long double>);
}

MathValue MathValue::imaginary() {
  MathValue value;
  value.at.fill(Complex(0, 1));
  return value;
}

MathValue MathValue::infinite() {
  MathValue value;
  value.at.fill(Complex(kNan));
  value.infinity = 1;
  return value;
}

MathValue operator-(const MathValue& a) {
  if (a.infinity == 0) return MathValue::of(Rational(0)) - a;
  MathValue negated = a;
  negated.infinity = -a.infinity;
  return negated;
}

MathValue operator+(const MathValue& a, const MathValue& b) {
  MathValue sum = combined(a, b, [](const Complex& x, const Complex& y) { return x + y; });
  sum.exact = a.exact + b.exact;
  if (a.field && b.field) sum.field = (*a.field + *b.field) % kPrime;
  return sum;
}

MathValue operator-(const MathValue& a, const MathValue& b) {
  MathValue difference = combined(a, b, [](const Complex& x, const Complex& y) { return x - y; });
  difference.exact = a.exact - b.exact;
  if (a.field && b.field) difference.field = (*a.field + kPrime - *b.field) % kPrime;
  return difference;
}

MathValue operator*(const MathValue& a, const MathValue& b) {
  MathValue result = combined(a, b, [](const Complex& x, const Complex& y) { return x * y; });
  result.exact = a.exact * b.exact;
  if (a.field && b.field) result.field = product(*a.field, *b.field);
  return result;
}

MathValue operator/(const MathValue& a, const MathValue& b) {
  if (b.exact == Rational(0)) return MathValue::of(Rational());
  MathValue result = combined(a, b, [](const Complex& x, const Complex& y) { return x / y; });
  result.exact = a.exact / b.exact;
  if (a.field && b.field) result.field = quotient(*a.field, *b.field);
  return result;
}

MathValue power(const MathValue& base, const MathValue& exponent) {
  if (const auto whole = small_integer(exponent, kMaxExponent)) {
    MathValue result = MathValue::of(Rational(1));
    MathValue factor = base;
    for (std::int64_t rest = std::abs(*whole); rest != 0; rest >>= 1) {
      if (rest & 1) result = result * factor;
      if (rest > 1) factor = factor * factor;
    }
    return *whole < 0 ? MathValue::of(Rational(1)) / result : result;
  }
  if (exponent.exact.is_number()) {
    const MathValue numerator = MathValue::of(Rational(exponent.exact.numerator()));
    const MathValue degree = MathValue::of(Rational(exponent.exact.denominator()));
    if (small_integer(numerator, kMaxExponent)) return power(root(base, degree), numerator);
  }
  return combined(base, exponent,
                  [](const Complex& x, const Complex& y) { return std::pow(x, y); });
}

MathValue root(const MathValue& of, const MathValue& degree) {
  const auto whole = small_integer(degree, 64);
  if (whole && *whole > 0 && of.exact.is_number()) {
    const auto numerator = exact_root(of.exact.numerator(), static_cast<int>(*whole));
    const auto denominator = exact_root(of.exact.denominator(), static_cast<int>(*whole));
    if (numerator && denominator) return MathValue::of(Rational(*numerator, *denominator));
    // The real root of a negative number, where there is one.
    if (*whole % 2 == 1 && of.exact < Rational(0)) return -root(-of, degree);
  }
  return combined(of, degree, [](const Complex& x, const Complex& n) {
    return n == Complex(2) ? std::sqrt(x) : std::pow(x, Complex(1) / n);
  });
}

MathValue absolute(const MathValue& of) {
  if (of.exact.is_number()) return MathValue::of(abs(of.exact));
  return mapped(of, [](const Complex& x) { return Complex(std::abs(x)); });
}

MathValue factorial(const MathValue& of) {
  const auto whole = small_integer(of, kMaxFactorial);
  if (!whole || *whole < 0) return MathValue::of(Rational());
  MathValue result = MathValue::of(Rational(1));
  for (std::int64_t factor = 2; factor <= *whole; ++factor) {
    result = result * MathValue::of(Rational(factor));
  }
  return result;
}

bool is_function(std::string_view name) {
  return std::ranges::find(kFunctions, name, &Function::name) != kFunctions.end();
}

std::optional<MathValue> apply_function(std::string_view name, const MathValue& argument) {
  const auto function = std::ranges::find(kFunctions, name, &Function::name);
  if (function == kFunctions.end()) return std::nullopt;
  return mapped(argument, function->apply);
}

bool is_finite(const MathValue& value) {
  return std::ranges::all_of(value.at, [](const Complex& x) {
    return std::isfinite(x.real()) && std::isfinite(x.imag());
  });
}

bool equal(const MathValue& a, const MathValue& b) {
  if (a.infinity != 0 || b.infinity != 0) return a.infinity == b.infinity;
  if (a.exact.is_number() && b.exact.is_number()) return a.exact == b.exact;
  if (a.field && b.field && *a.field != *b.field) return false;
  return std::ranges::equal(a.at, b.at, near);
}

}  // namespace reflect

#include "reflect/tasks/rational.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tasks/characters.h"

namespace reflect {
namespace {

constexpr int kMaxDecimals = 18;
constexpr Int128 kSmallest = static_cast<Int128>(1) << 127;

Int128 magnitude(Int128 value) {
  return value < 0 ? -value : value;
}

Int128 common_divisor(Int128 a, Int128 b) {
  a = magnitude(a);
  b = magnitude(b);
  while (b != 0) a = std::exchange(b, a % b);
  return a;
}

std::size_t digits_at(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - begin;
}

// Length of the integer part: plain digits, or groups of three behind commas.
std::size_t integer_length(std::string_view text) {
  const std::size_t plain = digits_at(text, 0);
  if (plain == 0 || plain > 3) return plain;
  std::size_t end = plain;
  while (end < text.size() && text[end] == ',' && digits_at(text, end + 1) == 3) end += 4;
  return end;
}

std::string digits_of(Int128 value) {
  std::string digits;
  Int128 rest = magnitude(value);
  do {
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest > 0);
  if (value < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace

Rational::Rational(Int128 numerator, Int128 denominator) {
  if (denominator == 0 || numerator == kSmallest || denominator == kSmallest) return;
  const Int128 divisor = common_divisor(numerator, denominator);
  numerator_ = denominator < 0 ? -numerator / divisor : numerator / divisor;
  denominator_ = magnitude(denominator) / divisor;
}

Rational Rational::operator-() const {
  Rational negated = *this;
  negated.numerator_ = -numerator_;
  return negated;
}

Rational operator+(const Rational& a, const Rational& b) {
  if (!a.is_number() || !b.is_number()) return {};
  const Int128 divisor = common_divisor(a.denominator_, b.denominator_);
  Int128 left, right, sum, denominator;
  if (__builtin_mul_overflow(a.numerator_, b.denominator_ / divisor, &left) ||
      __builtin_mul_overflow(b.numerator_, a.denominator_ / divisor, &right) ||
      __builtin_add_overflow(left, right, &sum) ||
      __builtin_mul_overflow(a.denominator_, b.denominator_ / divisor, &denominator)) {
    return {};
  }
  return {sum, denominator};
}

Rational operator*(const Rational& a, const Rational& b) {
  if (!a.is_number() || !b.is_number()) return {};
  const Rational across(a.numerator_, b.denominator_);
  const Rational back(b.numerator_, a.denominator_);
  Int128 numerator, denominator;
  if (__builtin_mul_overflow(across.numerator_, back.numerator_, &numerator) ||
      __builtin_mul_overflow(across.denominator_, back.denominator_, &denominator)) {
    return {};
  }
  return {numerator, denominator};
}

Rational operator/(const Rational& a, const Rational& b) {
  return a * Rational(b.denominator_, b.numerator_);
}

bool operator==(const Rational& a, const Rational& b) {
  return a.is_number() && a.numerator_ == b.numerator_ && a.denominator_ == b.denominator_;
}

bool operator<(const Rational& a, const Rational& b) {
  const Rational difference = a - b;
  return difference.is_number() && difference.numerator_ < 0;
}

Rational abs(const Rational& value) {
  return value.numerator() < 0 ? -value : value;
}

Rational power_of_ten(int exponent) {
  if (exponent < -38 || exponent > 38) return {};
  Int128 power = 1;
  for (int i = exponent < 0 ? -exponent : exponent; i > 0; --i) power *= 10;
  return exponent < 0 ? Rational(1, power) : Rational(power);
}

std::string text_of(const Rational& value) {
  if (!value.is_number()) return "not a number";
  if (value.is_integer()) return digits_of(value.numerator());
  for (int decimals = 1; decimals <= 12; ++decimals) {
    const Rational scaled = value * power_of_ten(decimals);
    if (!scaled.is_integer()) continue;
    std::string digits = digits_of(magnitude(scaled.numerator()));
    const auto places = static_cast<std::size_t>(decimals);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, 1, '.');
    if (value.numerator() < 0) digits.insert(0, 1, '-');
    return digits;
  }
  return digits_of(value.numerator()) + "/" + digits_of(value.denominator());
}

std::optional<WrittenNumber> read_number(std::string_view text) {
  std::size_t end = integer_length(text);
  const bool has_point = end < text.size() && text[end] == '.';
  const std::size_t decimals = has_point ? digits_at(text, end + 1) : 0;
  if (end + decimals == 0) return std::nullopt;
  const std::size_t kept = std::min<std::size_t>(decimals, kMaxDecimals);
  const std::size_t last = decimals > 0 ? end + 1 + kept : end;
  Rational value(0);
  for (const char c : text.substr(0, last)) {
    if (is_digit(c)) value = value * Rational(10) + Rational(c - '0');
  }
  value = value / power_of_ten(static_cast<int>(kept));
  return WrittenNumber{value, decimals > 0 ? end + 1 + decimals : end, static_cast<int>(kept)};
}

}  // namespace reflect

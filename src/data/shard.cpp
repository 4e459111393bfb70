#include "reflect/data/shard.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include "reflect/base/error.h"

namespace reflect {

namespace {

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Shard shard_named(const std::string& text) {
  if (text == "auto") return {};
  const std::size_t slash = text.find('/');
  if (slash != text.npos) {
    const auto index = number(std::string_view(text).substr(0, slash));
    const auto count = number(std::string_view(text).substr(slash + 1));
    if (index && count && 0 <= *index && *index < *count && *count <= 99999)
      return {*index, *count};
  }
  fail_usage("shard", "--shard {} is not i/n with 0 <= i < n; the first of four is 0/4", text);
}

std::string shard_path(const std::string& path, const Shard& shard) {
  if (shard.whole() || path.empty() || path == "-") return path;
  const std::filesystem::path whole(path);
  const std::string name = whole.filename().string();
  const std::size_t dot = std::min(name.find('.', 1), name.size());
  return (whole.parent_path() / fmt::format("{}-{:05}-of-{:05}{}", name.substr(0, dot), shard.index,
                                            shard.count, name.substr(dot)))
      .string();
}

}  // namespace reflect

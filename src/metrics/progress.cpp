#include "reflect/metrics/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace reflect {
namespace {

using Clock = std::chrono::steady_clock;

// 75 -> "1:15", 3675 -> "1:01:15".
std::string duration_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::min(seconds, 1e9) + 0.5);
  const std::int64_t hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest)
                   : fmt::format("{}:{:02}", minutes, rest);
}

}  // namespace

Progress::Progress(std::string label, std::string unit, std::int64_t total, bool quiet)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (open_ && terminal_ && !quiet_ && done_ > 0) std::fputc('\n', stderr);
}

void Progress::update(std::int64_t done, const std::string& detail) {
  done_ = done;
  const auto interval = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(30);
  const auto now = Clock::now();
  if (quiet_ || !open_ || now - last_ < interval) return;
  last_ = now;
  const std::string text = line(done, detail);
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (quiet_ || !open_ || !terminal_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

void Progress::finish(const std::string& detail) {
  if (quiet_ || !open_) return;
  open_ = false;
  fmt::print(stderr, "{}{}{}\n", terminal_ ? "\r" : "", line(done_, detail),
             terminal_ ? "\x1b[K" : "");
  std::fflush(stderr);
}

std::string Progress::line(std::int64_t done, const std::string& detail) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text = total_ > 0 ? fmt::format("{}: {}/{} {}", label_, done, total_, unit_)
                                : fmt::format("{}: {} {}", label_, done, unit_);
  text += fmt::format(", {:.3g} {}/s", rate, unit_);
  if (open_ && total_ > done && rate > 0) {
    text += fmt::format(", {} left", duration_text(static_cast<double>(total_ - done) / rate));
  } else {
    text += fmt::format(", {}", duration_text(seconds));
  }
  return detail.empty() ? text : text + ", " + detail;
}

}  // namespace reflect

#include "reflect/metrics/metrics_log.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

// Rewrites `path` without the lines from step `from_step` on and without a last line that was cut
// off in the middle of being written.
void drop_later_lines(const std::string& path, std::int64_t from_step) {
  std::string kept;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    const auto parsed = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object()) continue;
    const auto step = parsed.find("step");
    if (step != parsed.end() && step->is_number_integer() && *step >= from_step) continue;
    kept.append(*line).append("\n");
  }
  write_file_atomic(path, kept);
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, std::int64_t from_step) : path_(path) {
  if (std::filesystem::is_regular_file(path)) drop_later_lines(path, from_step);
  file_ = std::fopen(path.c_str(), "ae");
  if (file_ == nullptr) fail("metrics", "{}: {}", path, std::generic_category().message(errno));
}

MetricsLog::~MetricsLog() {
  std::fclose(file_);
}

void MetricsLog::write(const nlohmann::ordered_json& line) {
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    fail("metrics", "{}: {}", path_, std::generic_category().message(errno));
  }
}

}  // namespace reflect

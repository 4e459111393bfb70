// One live line on a terminal (plain lines elsewhere) with count, rate and time left.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace reflect {

class Progress {
 public:
  // `total` 0: not known. Quiet: prints nothing.
  Progress(std::string label, std::string unit, std::int64_t total, bool quiet);
  ~Progress();
  void update(std::int64_t done,
              const std::string& detail = "");  // redraws at most 5 times a second
  void clear();  // takes the live line away until the next update, so that others can print
  void finish(const std::string& detail = "");  // the last line, always printed

 private:
  std::string line(std::int64_t done, const std::string& detail) const;
  std::string label_, unit_;
  std::int64_t total_, done_ = 0;
  bool quiet_, terminal_, open_ = true;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace reflect

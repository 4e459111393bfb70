// The rows of an input, in order, made ready for scoring by threads ahead of it.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "reflect/data/shard.h"
#include "score/row_work.h"

namespace reflect {

// Lines (begin, end] of an input, counted from 1.
struct LineRange {
  std::size_t begin = 0;
  std::size_t end = SIZE_MAX;
  bool contains(std::size_t line) const { return begin < line && line <= end; }
};

// The shard's lines of an input of `lines`: consecutive, as many in each shard to one.
LineRange lines_of(const Shard& shard, std::size_t lines);

// A row as read. `number` counts the rows of the range from 0; `other_reflection` is that of the
// nearest earlier row of another prompt, with its tags.
struct InputRow {
  Record record;
  std::string other_reflection;
  std::size_t number = 0;
};

// Reads one row after another and prepares them on `threads` threads, a bounded number ahead of
// next(). What comes out, and in which order, does not depend on the number of threads.
class RowStream {
 public:
  using Prepare = std::function<RowWork(InputRow)>;

  struct Options {
    LineRange lines;
    std::int64_t limit = 0;  // rows; 0: all
    std::int64_t threads = 1;
  };

  RowStream(const std::string& path, const Options& options, Prepare prepare);
  ~RowStream();
  RowStream(const RowStream&) = delete;
  RowStream& operator=(const RowStream&) = delete;

  // The next row, or nothing at the end. Throws what reading or preparing it threw.
  std::optional<RowWork> next();
  // The malformed lines of the range; after the end only.
  const std::vector<BadRow>& bad_rows() const { return bad_rows_; }

 private:
  struct Slot {
    std::optional<RowWork> row;
    std::exception_ptr error;
    bool ready() const { return row || error; }
  };

  void work();
  std::optional<InputRow> read();
  std::optional<Record> parse(std::string_view line);
  Slot* reserve();
  void finish(Slot& slot, std::optional<RowWork> row, std::exception_ptr error);

  LineReader lines_;
  const Options options_;
  const Prepare prepare_;

  std::mutex reading_;  // lines_ and what follows
  std::vector<BadRow> bad_rows_;
  ReflectionDonor donor_;
  std::int64_t taken_ = 0;

  std::mutex state_;  // all below
  std::condition_variable changed_;
  std::deque<Slot>
      slots_;  // rows read, in order; references stay valid as ends are added and taken
  bool ended_ = false, stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace reflect

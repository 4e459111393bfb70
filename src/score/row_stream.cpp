#include "score/row_stream.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {

LineRange lines_of(const Shard& shard, std::size_t lines) {
  if (shard.whole()) return {};
  const auto border = [&](std::int64_t i) {
    return lines / shard.count * i + lines % shard.count * i / shard.count;
  };
  return {border(shard.index), border(shard.index + 1)};
}

namespace {

constexpr std::size_t kRowsAhead = 256;

}  // namespace

RowStream::RowStream(const std::string& path, const Options& options, Prepare prepare)
    : lines_(path), options_(options), prepare_(std::move(prepare)) {
  for (std::int64_t i = 0; i < std::max<std::int64_t>(1, options.threads); ++i)
    threads_.emplace_back([this] { work(); });
}

RowStream::~RowStream() {
  {
    const std::lock_guard lock(state_);
    stopped_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::optional<RowWork> RowStream::next() {
  std::unique_lock lock(state_);
  changed_.wait(lock, [&] { return slots_.empty() ? ended_ : slots_.front().ready(); });
  if (slots_.empty()) return std::nullopt;
  Slot slot = std::move(slots_.front());
  slots_.pop_front();
  lock.unlock();
  changed_.notify_all();
  if (slot.error) std::rethrow_exception(slot.error);
  return std::move(slot.row);
}

// The next record of the range. Those before it are read too: a later row may need what they say.
std::optional<InputRow> RowStream::read() {
  while (options_.limit == 0 || taken_ < options_.limit) {
    const auto line = lines_.next();
    if (!line || lines_.line_number() > options_.lines.end) return std::nullopt;
    std::optional<Record> record = parse(*line);
    if (!record) continue;
    const bool wanted = options_.lines.contains(lines_.line_number());
    std::string other = wanted ? donor_.for_row(*record) : "";
    donor_.add(*record);
    if (wanted)
      return InputRow{std::move(*record), std::move(other), static_cast<std::size_t>(taken_++)};
  }
  return std::nullopt;
}

// Nothing for a blank or a malformed line.
std::optional<Record> RowStream::parse(std::string_view line) {
  if (line.find_first_not_of(" \t\r") == line.npos) return std::nullopt;
  const std::string where = fmt::format("{}:{}", lines_.path(), lines_.line_number());
  try {
    return record_of(parse_json_line(line, where), where);
  } catch (const Error& error) {
    if (options_.lines.contains(lines_.line_number()))
      bad_rows_.push_back({lines_.line_number(), error.what()});
    return std::nullopt;
  }
}

// A place for the next row, once there is one to spare; null when the stream stops.
RowStream::Slot* RowStream::reserve() {
  std::unique_lock lock(state_);
  changed_.wait(lock, [&] { return stopped_ || ended_ || slots_.size() < kRowsAhead; });
  return stopped_ || ended_ ? nullptr : &slots_.emplace_back();
}

void RowStream::finish(Slot& slot, std::optional<RowWork> row, std::exception_ptr error) {
  {
    const std::lock_guard lock(state_);
    slot.row = std::move(row);
    slot.error = std::move(error);
  }
  changed_.notify_all();
}

void RowStream::work() {
  for (;;) {
    Slot* slot = nullptr;
    std::optional<InputRow> row;
    {
      const std::lock_guard lock(reading_);
      slot = reserve();
      if (slot == nullptr) return;
      std::exception_ptr error;
      try {
        row = read();
      } catch (...) {
        error = std::current_exception();
      }
      if (!row) {
        {
          const std::lock_guard state(state_);
          ended_ = true;
          if (error)
            slot->error = error;
          else
            slots_.pop_back();
        }
        changed_.notify_all();
        return;
      }
    }
    try {
      finish(*slot, prepare_(std::move(*row)), nullptr);
    } catch (...) {
      finish(*slot, std::nullopt, std::current_exception());
    }
  }
}

}  // namespace reflect

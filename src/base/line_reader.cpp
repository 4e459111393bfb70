#include <cstring>
#include <vector>

#include "byte_source.h"
#include "reflect/base/file.h"

namespace reflect {

struct LineReader::State {
  std::string path;
  std::unique_ptr<ByteSource> source;
  std::vector<char> buffer = std::vector<char>(1 << 18);
  std::size_t begin = 0, end = 0;  // the bytes not yet returned
  std::size_t line_number = 0;
  bool at_end = false;

  // Reads more behind the unreturned bytes, moving or enlarging the buffer where it is full.
  void read_more() {
    if (begin > 0) {
      std::memmove(buffer.data(), buffer.data() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    if (end == buffer.size()) buffer.resize(buffer.size() * 2);
    const std::size_t count = source->read(buffer.data() + end, buffer.size() - end);
    end += count;
    at_end = count == 0;
  }

  // Position after the next "\n", counted from `begin`; 0 if there is none in the rest of the file.
  std::size_t find_line_end() {
    std::size_t searched = 0;
    while (true) {
      const char* start = buffer.data() + begin;
      const void* found = std::memchr(start + searched, '\n', end - begin - searched);
      if (found) return static_cast<std::size_t>(static_cast<const char*>(found) - start) + 1;
      if (at_end) return 0;
      searched = end - begin;
      read_more();
    }
  }
};

LineReader::LineReader(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->source = open_byte_source(path);
}

LineReader::~LineReader() = default;

std::optional<std::string_view> LineReader::next() {
  State& s = *state_;
  std::size_t length = s.find_line_end();
  if (length == 0) length = s.end - s.begin;
  if (length == 0) return std::nullopt;
  std::string_view line(s.buffer.data() + s.begin, length);
  s.begin += length;
  if (line.ends_with('\n')) line.remove_suffix(line.ends_with("\r\n") ? 2 : 1);
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (++s.line_number == 1 && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  return line;
}

std::size_t LineReader::line_number() const {
  return state_->line_number;
}

const std::string& LineReader::path() const {
  return state_->path;
}

}  // namespace reflect

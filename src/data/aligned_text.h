// A text that was edited, each byte knowing where it stood in the original.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

// Unedited text costs nothing: it is a view of the original.
class AlignedText {
 public:
  // `offset`: where `text` begins in the original.
  explicit AlignedText(std::string_view text, std::uint32_t offset = 0)
      : view_(text), offset_(offset) {}

  std::string_view text() const { return edited_ ? std::string_view(buffer_) : view_; }
  std::size_t size() const { return text().size(); }
  // Byte of the original where byte i of the text comes from; i == size(): the end. Never falls.
  std::uint32_t origin(std::size_t i) const {
    return edited_ ? origin_[i] : offset_ + static_cast<std::uint32_t>(i);
  }
  // Bytes [begin, end) as a text of their own.
  AlignedText part(std::size_t begin, std::size_t end) const;

 private:
  friend class TextEdit;
  std::string_view view_;
  std::uint32_t offset_;
  bool edited_ = false;
  std::string buffer_;
  std::vector<std::uint32_t> origin_;  // [buffer_.size() + 1] when edited
};

// Writes an edited copy of `source` from left to right; bytes that are not kept or replaced are
// deleted.
class TextEdit {
 public:
  explicit TextEdit(const AlignedText& source) : source_(source) {}
  void keep(std::size_t begin, std::size_t end);
  // The first byte of `by` stands for all of [begin, end), the others for nothing.
  void replace(std::size_t begin, std::size_t end, std::string_view by);
  void insert(std::size_t at, std::string_view what) { replace(at, at, what); }
  std::size_t size() const { return buffer_.size(); }  // bytes written so far
  AlignedText finish();

 private:
  const AlignedText& source_;
  std::string buffer_;
  std::vector<std::uint32_t> origin_;
};

// Ill-formed UTF-8 replaced by U+FFFD, one for each maximal subpart.
AlignedText repair_utf8(AlignedText text);

}  // namespace reflect

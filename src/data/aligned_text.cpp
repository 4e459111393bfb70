#include "data/aligned_text.h"

#include <utility>

#include "data/utf8.h"

namespace reflect {

AlignedText AlignedText::part(std::size_t begin, std::size_t end) const {
  if (!edited_) return AlignedText(view_.substr(begin, end - begin), origin(begin));
  AlignedText result(view_, offset_);
  result.edited_ = true;
  result.buffer_ = buffer_.substr(begin, end - begin);
  result.origin_.assign(origin_.begin() + static_cast<std::ptrdiff_t>(begin),
                        origin_.begin() + static_cast<std::ptrdiff_t>(end) + 1);
  return result;
}

void TextEdit::keep(std::size_t begin, std::size_t end) {
  buffer_.append(source_.text().substr(begin, end - begin));
  for (std::size_t i = begin; i < end; ++i) origin_.push_back(source_.origin(i));
}

void TextEdit::replace(std::size_t begin, std::size_t end, std::string_view by) {
  buffer_.append(by);
  for (std::size_t i = 0; i < by.size(); ++i)
    origin_.push_back(source_.origin(i == 0 ? begin : end));
}

AlignedText TextEdit::finish() {
  AlignedText result(source_.view_, source_.offset_);
  origin_.push_back(source_.origin(source_.size()));
  result.edited_ = true;
  result.buffer_ = std::move(buffer_);
  result.origin_ = std::move(origin_);
  return result;
}

AlignedText repair_utf8(AlignedText text) {
  const std::string_view bytes = text.text();
  std::size_t good = valid_prefix(bytes);
  if (good == bytes.size()) return text;
  TextEdit edit(text);
  std::size_t at = 0;
  while (true) {
    edit.keep(at, at + good);
    at += good;
    if (at == bytes.size()) return edit.finish();
    const std::size_t bad = first_character(bytes.substr(at)).length;
    edit.replace(at, at + bad, kReplacementCharacter);
    at += bad;
    good = valid_prefix(bytes.substr(at));
  }
}

}  // namespace reflect

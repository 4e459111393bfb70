#include "net/transfer.h"

#include <algorithm>
#include <cctype>

#include "reflect/base/white_space.h"

namespace reflect {
namespace {

constexpr std::size_t kMaxHeaderBytes = 256 << 10;

}  // namespace

void Transfer::begin(std::uint64_t id, std::string body) {
  sent = std::move(body);
  reply = {};
  reply.id = id;
  header_bytes = window_bytes = 0;
  too_large = false;
  window.reset();
  words[0] = '\0';
  started = Clock::now();
}

void Transfer::came(std::size_t bytes) {
  if (!window) window = Clock::now();
  window_bytes += bytes;
}

std::size_t Transfer::take_body(char* data, std::size_t, std::size_t size, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  transfer.came(size);
  if (transfer.reply.body.size() + size > transfer.max_body) {
    transfer.too_large = true;
    return 0;
  }
  transfer.reply.body.append(data, size);
  return size;
}

std::size_t Transfer::take_header(char* data, std::size_t, std::size_t size, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  const std::string_view line = trimmed({data, size});
  transfer.came(size);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.too_large = true;
    return 0;
  }
  const std::size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    transfer.reply.headers.clear();  // those of an interim reply
  } else if (colon != line.npos) {
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    transfer.reply.headers.emplace_back(std::move(name), trimmed(line.substr(colon + 1)));
  }
  return size;
}

HttpFailure failure_of(CURLcode code, bool too_large) {
  if (too_large) return HttpFailure::kTooLarge;
  switch (code) {
    case CURLE_OK:
      return HttpFailure::kNone;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFailure::kTimeout;
    case CURLE_FILESIZE_EXCEEDED:
      return HttpFailure::kTooLarge;
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
      return HttpFailure::kHopeless;
    default:
      return HttpFailure::kConnection;
  }
}

}  // namespace reflect

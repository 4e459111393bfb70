#include <algorithm>

#include "reflect/base/error.h"
#include "reflect/net/http_client.h"

namespace reflect {

std::string_view HttpReply::header(std::string_view name) const {
  const auto found = std::find_if(headers.rbegin(), headers.rend(),
                                  [&](const auto& header) { return header.first == name; });
  return found == headers.rend() ? std::string_view{} : std::string_view(found->second);
}

void check_url(std::string_view url, std::string_view flag) {
  const std::size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  const std::string_view host = url.substr(scheme, url.find('/', scheme) - scheme);
  if (host.find('@') != host.npos) {
    fail_usage("http", "{} holds a user name or a password; a key belongs into the environment",
               flag);
  }
  if (scheme == 0 || host.empty() || url.find_first_of(" \t\r\n?#") != url.npos) {
    fail_usage("http", "{} \"{}\" is not a URL like http://127.0.0.1:8000/v1", flag, url);
  }
}

}  // namespace reflect

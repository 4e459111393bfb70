#include "net/certificates.h"

#include <curl/curl.h>
#include <unistd.h>

#include <cstdlib>

#include "reflect/base/error.h"

namespace reflect {
namespace {

bool is_readable(const char* path) {
  return path != nullptr && ::access(path, R_OK) == 0;
}

}  // namespace

std::string trusted_certificates(const std::string& given) {
  if (!given.empty()) {
    if (!is_readable(given.c_str())) fail_usage("http", "ca-file {} cannot be read", given);
    return given;
  }
  for (const char* variable : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
    const char* named = std::getenv(variable);
    if (named != nullptr && *named != '\0') return named;
  }
  // A program that was built on one distribution runs on others.
  const curl_version_info_data* own = curl_version_info(CURLVERSION_NOW);
  if (is_readable(own->cainfo) || is_readable(own->capath)) return "";
  for (const char* bundle :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (is_readable(bundle)) return bundle;
  }
  return "";
}

}  // namespace reflect

// Where the certificates lie that TLS connections trust.
#pragma once

#include <string>

namespace reflect {

// The bundle (PEM) to trust: `given`, else what SSL_CERT_FILE or CURL_CA_BUNDLE names, else the
// bundle of a known distribution where libcurl's own does not exist. Empty: libcurl's own. Throws
// Error (usage) when `given` cannot be read.
std::string trusted_certificates(const std::string& given);

}  // namespace reflect

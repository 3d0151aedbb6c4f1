// SPDX-License-Identifier: Apache-2.0
#include "cli/certificate.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdint>
#include <memory>

#include "base/error.hpp"
#include "crypto/random.hpp"

namespace nacre {
namespace {

template <auto Free>
struct Freeing {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freeing<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freeing<X509_EXTENSION_free>>;
using Output = std::unique_ptr<BIO, Freeing<BIO_free>>;

void check(bool fine, const char* doing) {
  if (!fine) throw Error(Errc::internal, std::string("certificate: ") + doing + " failed");
}

Key new_key() {
  Key key(EVP_EC_gen("P-256"));
  check(key != nullptr, "making a key");
  return key;
}

struct Named {
  int nid;
  const char* value;
};

// `issuer` is null for a certificate that signs itself.
template <std::size_t N>
Certificate certify(EVP_PKEY* key, const char* name, X509* issuer, EVP_PKEY* issuer_key,
                    const std::array<Named, N>& extensions) {
  Certificate certificate(X509_new());
  auto* c = certificate.get();
  check(c != nullptr && X509_set_version(c, X509_VERSION_3) == 1, "making it");
  std::array<std::uint8_t, 16> serial{};
  fill_random(serial);
  serial[0] &= 0x7fU;  // positive
  const std::unique_ptr<BIGNUM, Freeing<BN_free>> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  check(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(c)) != nullptr,
        "numbering it");
  constexpr long hour = 3600;
  check(X509_gmtime_adj(X509_getm_notBefore(c), -hour) != nullptr &&
            X509_gmtime_adj(X509_getm_notAfter(c), 24 * hour) != nullptr,
        "dating it");
  check(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name), -1, -1, 0) == 1,
        "naming it");
  auto* signer = issuer != nullptr ? issuer : c;
  check(X509_set_issuer_name(c, X509_get_subject_name(signer)) == 1 && X509_set_pubkey(c, key) == 1,
        "filling it");
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, c, nullptr, nullptr, 0);
  for (const auto& extension : extensions) {
    const Extension made(X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value));
    check(made && X509_add_ext(c, made.get(), -1) == 1, "extending it");
  }
  check(X509_sign(c, issuer_key, EVP_sha256()) > 0, "signing it");
  return certificate;
}

std::string text_of(const Output& output) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(output.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem(X509* certificate) {
  const Output output(BIO_new(BIO_s_mem()));
  check(output && PEM_write_bio_X509(output.get(), certificate) == 1, "writing it");
  return text_of(output);
}

Secret pem(EVP_PKEY* key) {
  const Output output(BIO_new(BIO_s_secmem()));
  check(output &&
            PEM_write_bio_PrivateKey(output.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
        "writing its key");
  char* data = nullptr;
  const auto size = BIO_get_mem_data(output.get(), &data);
  return Secret::copy_of(
      {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)});
}

}  // namespace

DemoCertificates make_demo_certificates() {
  const auto ca_key = new_key(), server_key = new_key();
  const std::array of_ca = {Named{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                            Named{NID_key_usage, "critical,keyCertSign,cRLSign"},
                            Named{NID_subject_key_identifier, "hash"}};
  const auto ca = certify(ca_key.get(), "nacre demo CA", nullptr, ca_key.get(), of_ca);
  const std::array of_server = {Named{NID_basic_constraints, "critical,CA:FALSE"},
                                Named{NID_key_usage, "critical,digitalSignature"},
                                Named{NID_ext_key_usage, "serverAuth"},
                                Named{NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost"},
                                Named{NID_subject_key_identifier, "hash"},
                                Named{NID_authority_key_identifier, "keyid:always"}};
  const auto server = certify(server_key.get(), "nacre demo", ca.get(), ca_key.get(), of_server);
  return {.ca = pem(ca.get()), .server = pem(server.get()), .server_key = pem(server_key.get())};
}

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
//
// Keys of libraries: the vectors of seafile-protocol, section 3.5, and the libraries
// that a real server and a real client made (golden/real-server/libraries.json).
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "crypto/library_key.hpp"

using namespace nacre;

namespace {

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }
LibraryId library(const char* id) { return *LibraryId::parse(id); }
std::string shown(const LibraryKey& key) { return to_hex(key.export_bytes().bytes()); }

struct RealLibrary {
  const char *name, *id, *password;
  Encryption encryption;
  const char* key_and_iv;
};
const std::vector<RealLibrary> real_libraries = {
    {"enc-v2",
     "899af456-75fa-4ed4-a0f5-ba479c55fa9d",
     "libpass2",
     {2, "15e267607551840f2d098eb87e1c6ae0b8a8e9a37f49bb1d8c23215b1df0492a",
      "affe8a9a11e0a5f3a3a7af069b149532180ab00f1ee7567801c22e9797a5f1a69b394e05a9517cbc6b60c849d60f"
      "daf2",
      "", "", "", ""},
     "054f4d74907f616f1c37caa181eb0f64b16b88704514cc12e51e165b7b59929f02f6cdfa9d91ec846f78efc6096e4"
     "830"},
    {"enc-v3",
     "e8a64ccc-965a-4b3c-8360-414891184740",
     "libpass3",
     {3, "c8e6bb8f0f060773acaf51aa30d6745697d0115479e3a27062a9e532d59a4fc4",
      "eef4e46d0b0e0f354fcfecc35790017e427d7feb5f5d5b722e8703a2230d4ea1ce4ff34663fa1818340a9b3d1264"
      "3dfa",
      "6de82cc6f0394b4aa8c9ac177b4284ff0e647854f22ce1dae9dfe5f3f792e633", "", "", ""},
     "aac28b39253e7c01ceec72f5064b60824420752fe79b62c8b63b38c3cc98e9996ef928abb217664764c1572f57a3e"
     "f77"},
    {"enc-v4",
     "ae12bfc0-54d9-49d4-921d-71615d30efd7",
     "libpass4",
     {4, "6437a5c5ee232ce94b071d2d14cccfe182ac83e52355c5b0de063de46879e612",
      "13f2db96493131087b84b441125b5b5527868587450fa5e92ba0555980147d545497e9327147d68bfa381c7c42ec"
      "d176",
      "90bbddea5abbb68fcf9691e2e832578ad492eca0742beaca0450a731a8bce67f", "", "", ""},
     "350a3625ea168581351196e0de6d6ce1f65d339523989c1cb1e41c7f9584033b7ca0dae5e3b26cb1ee432bbb7ae12"
     "da1"},
    {"enc-v2-argon2id",
     "35ea521e-2f2e-4510-9509-ffae06599d64",
     "libpass2a",
     {2, "",
      "b5fd3e01aa889a07dae63427567130737dfae229c7b8db77b04ebb5fdd66f137a9f3d898c9aa83c3ff4469238b32"
      "1eac",
      "", "c83d2a3c025d30c4dd094d279d27e4084a345f33af423a20c0ec3da09f00ec41", "argon2id",
      "2,102400,8"},
     "c039529b9342907b10f2f657278c7bad34779ae509c52402c20f349e5fa17c76fb8b36475d38535cda084bb167e6d"
     "124"},
    {"enc-v3-argon2id",
     "9f5697a6-5add-4989-804d-354f13372948",
     "libpass3a",
     {3, "",
      "86b63a345efa8414df9c30b0f157851bd034423f8792e465afb1313108990a62f0a4f95adf82c89640731c984378"
      "a9d9",
      "7afcfb86cc47a999be3faa82fa2c137998546164dc1f5404cb419974f0010403",
      "85e4f1819f0270580027ec738a73cbf1b87be58d1b1b0ee6b8b51bd524d2ecb2", "argon2id", "2,102400,8"},
     "1c3e431b55225fd7f920a129fb6d85b317f190122006a8c7fdff136122478e586afb0d96e44d5ab9e1eb43ca67dfa"
     "ba7"},
    {"enc-v4-argon2id",
     "017f94fb-7fef-470f-bc19-54b7169fedd1",
     "libpass4a",
     {4, "",
      "408ffe7438dd1a52b5473f837c12cfd88713be8ab1ff600f306850e97b53ab125667e6ab0c973943a81f4b006d03"
      "862c",
      "8d5843c060e482ba305c3624b0995cba260e2dabddf5e1ad94abc6a598216322",
      "28d7860aada2be15cf0ffe598e18cba5931d431c4d4c3e2583995c67cd3b7714", "argon2id", "2,102400,8"},
     "82835a47ac1eada10c69450a1d5fbfb4554fe44d1fe5c9aa58e94539b0932c705425dbf768a72136ee0b404edd3b2"
     "6c3"},
    {"enc-v4-pbkdf2",
     "9638a620-6d79-4301-bb5c-33fd8f360429",
     "libpass4p",
     {4, "",
      "cc23db0f6bc54002e03940808f0919521adc3bb25b8f8d0f74128587d1b2a8b90115520536b023856479f56365fe"
      "ba7b",
      "0b10f7d3d11d630a2f216fa1c18bfbce94dc49ec950950204b281c669cda41da",
      "7cb3bf7029d9b406d22aa4ff3591d7c350f0e49080dfd4813b5ecc418d643c74", "pbkdf2_sha256", "1000"},
     "30cf859500eb51cb4b58a683a86087da0ae3ccd3fbe4c06b496f1872fe6de8ab6f465cfdfd1b73ec75a21d7f96156"
     "18e"},
    {"enc-v2-pbkdf2",
     "056d7149-c0bc-494b-8237-5b00846bbde8",
     "libpass2p",
     {2, "",
      "98928c65c13eb28c7f0fb1a9759b7846f8af6b4050d9dc17d5ffff2bde8e0f3ac3730accfebc1951a4be1f1b2afd"
      "1df4",
      "", "e741752edf53570f3d35d1e72750b0d593f326aac25fd78ba9990e35b22c3303", "pbkdf2_sha256",
      "20000"},
     "c9ae33d0bc289279b696333953ed69821e5a06fa419c75586ced8e57163d438f73036ac93b0f94738bccb90e33ee8"
     "aaf"},
    {"enc-v4-clientmade",
     "7825d2d5-f0e4-4dcd-8e2d-9c3ec7d19b45",
     "libpassc4",
     {4, "3c9851a1f4eaeffc88b5116d1bf6a0cc0f4793046b349b38c126ad53a5a2fb7e",
      "8812b865c10e73a4f31516e4d03cd30823c73833b84c9136adcff5c90d6b50210c7225b380bacdde2d2fd91288cd"
      "195d",
      "b272508263062cef650f45d6cc15cf1d108445602fc20310e39c3ae767b68740", "", "", ""},
     "db4717200ce58e1fc86b0b5eaff0c817f23089c88b3210299211b8a0eabc74e5808fc571291048f7903738a48d66d"
     "7ad"},
    {"client-tree-v4",
     "8995abd6-9fa0-4d11-953b-82862486acc3",
     "libpasst4",
     {4, "3753474f4136df10a4b4e4ebd5ae9287c1cc434d575e38f4311630ddcb5f0697",
      "5826701f1f537b5fa085bdbe167658143a13cf4bd19c86015c65100f21569fa5a09c87d97ad0311d6eee672810ab"
      "0647",
      "4b370d574ef3bbb42aa75c8f6d5d2785e5e72d7acb5a2d88399f6a459e4b5332", "", "", ""},
     "b1eefa32c9fc96752d91d5539c94767f84cc3cd87c873744d78f1b70ec9ccbccab1fc22fb5269b04706208928b5bf"
     "ba2"},
};

struct SpecifiedLibrary {
  const char *id, *password, *new_password;
  Encryption before, after;  // a change of the password
  const char *key_and_iv, *plain, *stored, *block_id;
};
const std::vector<SpecifiedLibrary> specified_libraries = {
    {"a1b2c3d4-0000-4111-8222-333344445555",
     "Passw0rd!",
     "N3w pass",
     {2, "bf918f33805a9af35cf99634692de9a450962598edc32b6b20cc1f9ca292614b",
      "4fd2bb81bdc9f6032c990a5b8ee143688e31726e1a4c993ad15a65e3ae77435f50fd0d0f3e526768631adade0329"
      "fe06",
      "", "", "", ""},
     {2, "b7467a1b31fe01f2696c328936a81a76178db34deee881d932231c1040fee3d1",
      "4b914b12bc0107dec47393497ad8dcb1c8fbef9b8b15a9fc16d36fb33d29cee527c1a205f0e0beb57393540f6b83"
      "8700",
      "", "", "", ""},
     "a4f90f3f95c10ea5ef1d22ca6972801f400e5d8bb5d50839f80b92fd1e0904e7ff20f474623e2a6a24da0051a0b42"
     "457",
     "Hello, Seafile!\n",
     "91058cbd98cda0829b0a7673ed3c1b1232ba8d9d75af54ac5b57e30a95209cc7",
     "a9e661ff87fb3d860bd3b34c7dedd4dfb23ff213"},
    {"00c0ffee-1234-4abc-9def-0123456789ab",
     "пароль-密碼",
     "x",
     {2, "c084df4e88f35c2697f9e5a28886578abbf8c3fb6218da3a1a6ab1d7f956f910",
      "893709fc9192a0a8b8f7100ea4aef73fb506a967200e104657322433e236a0f08dffa9543f7feb5c29ab24e6d487"
      "b39a",
      "", "", "", ""},
     {2, "3b005661cbd7468e276cd7b5a53bb0b8bebf98d3845bb68cb6b078ef1f305134",
      "8afc1667584072063b76c0f3a87739f50cd8206a10d566354a6486660563b1ecf257bf9a561bbb8397f76ba89670"
      "78a1",
      "", "", "", ""},
     "4432f7fa82ca5cacb101b65026b5387944dccbf3c88dde66bd4fefe4f3f43cb59120b293e3b98889344ca57630a85"
     "c51",
     "The quick brown fox jumps over the lazy dog",
     "481f90dc95ec595208daa5846d1522c5145a463a934b0c80312e77b85651100ecd7035166064f26fdf30f6e809206"
     "2cf",
     "7f68c0c388a38569f77e89e49437d717e478e6f4"},
    {"a1b2c3d4-0000-4111-8222-333344445555",
     "Passw0rd!",
     "N3w pass",
     {3, "29ff4f3d777133d05425fadc3b0d212eefd3f16086cc01f0b36b07e6f8e6f0cf",
      "96bf101f91291e38917fc718699bc9388599a58ddb102b3044cf2e09e33d1445ba565bbbed56bbab477439bb4132"
      "fff7",
      "1177bc651f078a461285a48d479a73e8a83b6d45de506b28faece933b00f77b8", "", "", ""},
     {3, "0a7289ebf0a4700fe10efff39a900ebd6e26365768a8916c2bd5e65238ecd677",
      "0f47a489c0d932251aecc927baf5af4c8800bccaa2f23e20b21a5bed732a640ffb253508665951157849f6a43e8e"
      "e42b",
      "1177bc651f078a461285a48d479a73e8a83b6d45de506b28faece933b00f77b8", "", "", ""},
     "871a49a1ebde429ff7f3d2cd37746e699125603581506fb90e2639c7dd20c1c3a68bd93a9cad689836e0f71644080"
     "5ec",
     "Hello, Seafile!\n",
     "3ad577dc4a1d6b37c75e9c68cb5142f8fa5a07b61574b76421ce3001b241d579",
     "53745d81716a76d21e4a7431bde34fd5ecca176e"},
    {"00c0ffee-1234-4abc-9def-0123456789ab",
     "пароль-密碼",
     "x",
     {3, "56a93db2933ce4e246f1713936d77f3ebaa4c8e9255121944d0509de37d4a758",
      "ee35fc6136298791c1f45bf5a0e027e6610504b6cf50e3a84dc63700224f9a3f82db2bba03fadc2de8f374924a7e"
      "4116",
      "cfaaf79d9d3b91af6c95675a63fa95203858b2391414c9dd6fabc5ef479fa596", "", "", ""},
     {3, "b8fdae33e7caf9d43a3f43eb96c64c297105deed562c8c99d7a28ea01717984e",
      "99f0c2068df1f35f13d5d7e24f3cd70f032440a320773ead6f4fa2232ee08482c92702207880ecd0c83d7e500294"
      "6aac",
      "cfaaf79d9d3b91af6c95675a63fa95203858b2391414c9dd6fabc5ef479fa596", "", "", ""},
     "ba79a02b13acde88cad7de16e02ea3010c17ff448d011cdb70c47c498a848ca92602fb7a7cbc129ecdfa1a452068c"
     "c3d",
     "The quick brown fox jumps over the lazy dog",
     "88fc31d494e8140526c3f8e75864b2ca7fbc4cb99b10606cf5fd1e83d21707eb1b41795ec9135dcc820ffa2101f14"
     "826",
     "0edeb863f599dfcdf972b537b9945cc22a3a3ab4"},
    {"a1b2c3d4-0000-4111-8222-333344445555",
     "Passw0rd!",
     "N3w pass",
     {4, "29ff4f3d777133d05425fadc3b0d212eefd3f16086cc01f0b36b07e6f8e6f0cf",
      "77d1a4756521b5573351c0563654233f3ea1348a89f61bb65462a25f33a16e4ed655b5349b9c5751892790dff82a"
      "1724",
      "1177bc651f078a461285a48d479a73e8a83b6d45de506b28faece933b00f77b8", "", "", ""},
     {4, "0a7289ebf0a4700fe10efff39a900ebd6e26365768a8916c2bd5e65238ecd677",
      "83eaa7bf6d3e76565e8dddd4d1d3fc8c7c819b1e679c110909e65ed3aa13e8182ea8d22b02501d9e173fd04d73bd"
      "219f",
      "1177bc651f078a461285a48d479a73e8a83b6d45de506b28faece933b00f77b8", "", "", ""},
     "871a49a1ebde429ff7f3d2cd37746e699125603581506fb90e2639c7dd20c1c3a68bd93a9cad689836e0f71644080"
     "5ec",
     "Hello, Seafile!\n",
     "0a2c5c296a4c13bc3dba923be7dacbc8128e2c6dafebf26aa49e60211b404cec",
     "225bdf21b3551a1f36c4150952e2469430052d23"},
    {"00c0ffee-1234-4abc-9def-0123456789ab",
     "пароль-密碼",
     "x",
     {4, "56a93db2933ce4e246f1713936d77f3ebaa4c8e9255121944d0509de37d4a758",
      "d32fe7658bea6d87b9b59ea4e738b81fdb5f9660bc0e2e5697a5906f4366284c1cde56eeb591b008c73e04bf685f"
      "1648",
      "cfaaf79d9d3b91af6c95675a63fa95203858b2391414c9dd6fabc5ef479fa596", "", "", ""},
     {4, "b8fdae33e7caf9d43a3f43eb96c64c297105deed562c8c99d7a28ea01717984e",
      "c46e96fd41f537620777cee6a1ad4a5ba380c41eba88e1259ad5a6eae2841c5ceb96d461dc652ffce850f3fbac58"
      "79d3",
      "cfaaf79d9d3b91af6c95675a63fa95203858b2391414c9dd6fabc5ef479fa596", "", "", ""},
     "ba79a02b13acde88cad7de16e02ea3010c17ff448d011cdb70c47c498a848ca92602fb7a7cbc129ecdfa1a452068c"
     "c3d",
     "The quick brown fox jumps over the lazy dog",
     "096d04335f2430458da12c46d322d71dce0000e6fed1b7b6b5d60e3be5b97a6e26ce53b94a87b86b5215ae8263510"
     "e81",
     "ef839dfc6385df5855c4cc98ef9b515ffc5d1aaa"},
};

struct SpecifiedHash {
  char set;
  int version;
  const char *algorithm, *parameters, *hash;
};
const std::vector<SpecifiedHash> specified_hashes = {
    {'A', 2, "pbkdf2_sha256", "1000",
     "d9f954cef41d67b4618d1ab07bf29ac72d844d5ea923589fb65e6d2b6e5bbe44"},
    {'A', 2, "pbkdf2_sha256", "2000",
     "d9284d9a8f95ddb6289c1cc70c66788e20b4d891afaadf496480704d17624ad2"},
    {'A', 2, "argon2id", "1,8192,2",
     "8413401b282a3b6abb1a1af5b32dfe6de26cb964ded9a76fa9c7367e03987ddb"},
    {'A', 2, "argon2id", "2,102400,8",
     "cd140eb861f803cbdd469f419070e8ffe768ffd62efb422343fdae8392873907"},
    {'B', 2, "pbkdf2_sha256", "1000",
     "a41ac71f1bb3b46349041b203bd6103719aa39e324e36d72cc07e1d659249518"},
    {'B', 2, "pbkdf2_sha256", "2000",
     "a6fb0fb6c1a79e331f5351f4e6c7955e639f4942e46145f964cda941373fe0c9"},
    {'B', 2, "argon2id", "1,8192,2",
     "7385295bd16db2a0b0885bc51a93bea40cd8ed13942d1a2f2a60e0783808d8d4"},
    {'B', 2, "argon2id", "2,102400,8",
     "facef6159238dfac456d5fe9ddfba43da48e0cfd57ffed14a7590fcd934389db"},
    {'A', 4, "pbkdf2_sha256", "1000",
     "29ff4f3d777133d05425fadc3b0d212eefd3f16086cc01f0b36b07e6f8e6f0cf"},
    {'A', 4, "pbkdf2_sha256", "2000",
     "5e379203920db73f97a66b93ddde153575eef226abebc19ac0b9b27641e4392a"},
    {'A', 4, "argon2id", "1,8192,2",
     "d09dc25fee218430e80ff504dd962bac52bfcc0602e4ba9cb6e428235aee2697"},
    {'A', 4, "argon2id", "2,102400,8",
     "0020cc56ae42a43de712012a2f3e478282065e4a1a0e752699b6f51431391cf6"},
    {'B', 4, "pbkdf2_sha256", "1000",
     "56a93db2933ce4e246f1713936d77f3ebaa4c8e9255121944d0509de37d4a758"},
    {'B', 4, "pbkdf2_sha256", "2000",
     "ce6d1cac4a6d384678a8db1ec25957d6d2546faac89da1dfccc196f91be22b1c"},
    {'B', 4, "argon2id", "1,8192,2",
     "4535a22fc8228b4c336ca71359a426e0c602add1f20a61a75d16526b505b4941"},
    {'B', 4, "argon2id", "2,102400,8",
     "5cd2c19ab5e7d96596e3788556ac8d90297176eee2a6689c8a257f8a7d0e9300"},
};

Errc code_of(const Encryption& how) {
  try {
    unlock(library("a1b2c3d4-0000-4111-8222-333344445555"), how, secret("Passw0rd!"));
  } catch (const Error& error) {
    return error.code();
  }
  return Errc::internal;
}

}  // namespace

TEST_CASE("every encryption that a real server made opens with its password only") {
  for (const auto& [name, id, password, encryption, key_and_iv] : real_libraries) {
    CAPTURE(name);
    const auto key = unlock(library(id), encryption, secret(password));
    REQUIRE(key);
    CHECK(shown(*key) == key_and_iv);
    CHECK_FALSE(unlock(library(id), encryption, secret(std::string(password) + "x")));
  }
}

TEST_CASE("a change of password wraps the same key as the specification's libraries have it") {
  for (const auto& spec : specified_libraries) {
    CAPTURE(spec.id, spec.before.version);
    const auto changed = change_password(library(spec.id), spec.before, secret(spec.password),
                                         secret(spec.new_password));
    REQUIRE(changed);
    CHECK(*changed == spec.after);
    CHECK_FALSE(change_password(library(spec.id), spec.before, secret(spec.new_password),
                                secret(spec.password)));
  }
  // The newer hashes too.
  for (const auto& [name, id, password, encryption, key_and_iv] : real_libraries) {
    CAPTURE(name);
    const auto changed =
        change_password(library(id), encryption, secret(password), secret("another"));
    REQUIRE(changed);
    const auto key = unlock(library(id), *changed, secret("another"));
    REQUIRE(key);
    CHECK(shown(*key) == key_and_iv);
    CHECK_FALSE(unlock(library(id), *changed, secret(password)));
  }
}

TEST_CASE("the specification's libraries open before and after a change of password") {
  for (const auto& spec : specified_libraries) {
    CAPTURE(spec.id, spec.before.version);
    const auto key = unlock(library(spec.id), spec.before, secret(spec.password));
    REQUIRE(key);
    CHECK(shown(*key) == spec.key_and_iv);
    const auto later = unlock(library(spec.id), spec.after, secret(spec.new_password));
    REQUIRE(later);
    CHECK(shown(*later) == spec.key_and_iv);
    CHECK_FALSE(unlock(library(spec.id), spec.after, secret(spec.password)));

    const auto plain = as_bytes(spec.plain);
    Bytes stored(LibraryKey::stored_size(plain.size()));
    key->encrypt(plain, stored);
    CHECK(to_hex(stored) == spec.stored);
    CHECK(sha1(stored).hex() == spec.block_id);
    CHECK(as_text(key->decrypt(stored)) == spec.plain);
  }
}

TEST_CASE("password hashes of newer servers open what the magic would") {
  for (const auto& [set, version, algorithm, parameters, hash] : specified_hashes) {
    CAPTURE(set, version, algorithm, parameters);
    const auto spec = *std::ranges::find_if(specified_libraries, [&](const auto& candidate) {
      return candidate.before.version == version && (candidate.id[0] == 'a') == (set == 'A');
    });
    auto how = spec.before;
    how.magic.clear();
    how.pwd_hash = hash;
    how.pwd_hash_algo = algorithm;
    how.pwd_hash_params = parameters;
    const auto key = unlock(library(spec.id), how, secret(spec.password));
    REQUIRE(key);
    CHECK(shown(*key) == spec.key_and_iv);
    how.pwd_hash.front() = how.pwd_hash.front() == '0' ? '1' : '0';
    CHECK_FALSE(unlock(library(spec.id), how, secret(spec.password)));
  }
}

TEST_CASE("damage and hostile parameters are told from a wrong password") {
  auto how = specified_libraries.front().before;
  how.random_key[0] = how.random_key[0] == 'a' ? 'b' : 'a';
  how.random_key[95] = how.random_key[95] == 'a' ? 'b' : 'a';
  CHECK(code_of(how) == Errc::corrupt);
  how = specified_libraries.front().before;
  how.random_key = "none";
  CHECK(code_of(how) == Errc::corrupt);
  how = specified_libraries.front().before;
  how.magic = "0";
  CHECK(code_of(how) == Errc::corrupt);
  for (const int version : {0, 1, 5}) {
    how = specified_libraries.front().before;
    how.version = version;
    CHECK(code_of(how) == Errc::unsupported);
  }
  how = specified_libraries.front().before;
  how.magic.clear();
  how.pwd_hash = std::string(64, '0');
  how.pwd_hash_algo = "argon2id";
  how.pwd_hash_params = "2,4294967295,8";
  CHECK(code_of(how) == Errc::corrupt);
  how.pwd_hash_params = "4000000,1024,1";
  CHECK(code_of(how) == Errc::corrupt);
  how.pwd_hash_algo = "pbkdf2_sha256";
  how.pwd_hash_params = "4000000000";
  CHECK(code_of(how) == Errc::corrupt);
  how.pwd_hash_algo = "something new";
  CHECK(code_of(how) == Errc::unsupported);
}

TEST_CASE("blocks of any length come back, in parts too, and never with wrong padding") {
  std::mt19937 random(7);
  for (const int version : {2, 3, 4}) {
    const LibraryKey key(version, Secret::random(32), Secret::random(16));
    for (std::size_t length = 0; length < 100; ++length) {
      Bytes plain(length);
      std::ranges::generate(plain, [&] { return static_cast<std::uint8_t>(random()); });
      Bytes stored(LibraryKey::stored_size(length));
      key.encrypt(plain, stored);
      CHECK(key.decrypt(stored) == plain);
      const auto from = random() % (stored.size() / 16) * 16;
      const auto size = (random() % ((stored.size() - from) / 16) + 1) * 16;
      Bytes part(size);
      const auto before = from == 0 ? ByteView() : ByteView(stored).subspan(from - 16, 16);
      key.decrypt_part(before, ByteView(stored).subspan(from, size), part);
      const auto shown_part = std::min(size, length - std::min(length, from));
      CHECK(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(shown_part),
                       plain.begin() + static_cast<std::ptrdiff_t>(std::min(from, length))));
      CHECK_THROWS_AS(key.decrypt(ByteView(stored).first(stored.size() - 1)), Error);
    }
    CHECK_THROWS_AS(key.decrypt({}), Error);
  }
  const std::array<std::uint8_t, 16> zero{};
  CHECK_THROWS_AS(LibraryKey::padding(zero), Error);
  auto wrong = zero;
  wrong.back() = 2;
  CHECK_THROWS_AS(LibraryKey::padding(wrong), Error);
  wrong[14] = 2;
  CHECK(LibraryKey::padding(wrong) == 2);
}

TEST_CASE("a library made here opens with its password, and no two are alike") {
  const auto id = library("00c0ffee-1234-4abc-9def-0123456789ab");
  for (const int version : {2, 4}) {
    const auto made = make_library_key(id, version, secret("new password"));
    CHECK(made.encryption.version == version);
    CHECK(made.encryption.salt.size() == (version == 4 ? 64U : 0U));
    const auto key = unlock(id, made.encryption, secret("new password"));
    REQUIRE(key);
    CHECK(shown(*key) == shown(made.key));
    CHECK_FALSE(unlock(id, made.encryption, secret("old password")));
    CHECK(shown(make_library_key(id, version, secret("new password")).key) != shown(made.key));
  }
  CHECK_THROWS_AS(make_library_key(id, 3, secret("weak")), Error);
}

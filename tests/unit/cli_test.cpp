// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "cli/accounts.hpp"
#include "cli/certificate.hpp"
#include "cli/folders.hpp"
#include "crypto/random.hpp"
#include "fs/control.hpp"
#include "unit/cli_home.hpp"

namespace nacre {
namespace {

using test::Home;
using Args = std::vector<std::string>;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat st = {};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777U : 0;
}

Account sample_account(const std::string& alias) {
  Account account;
  account.alias = alias;
  account.server.url = "https://127.0.0.1:9";
  account.user = "mussel@example.com";
  account.client = random_id();
  return account;
}

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

TEST_CASE_METHOD(Home, "what cannot be understood is a usage error, with a hint", "[cli]") {
  const auto args = GENERATE(
      Args{}, Args{"frobnicate"}, Args{"mount"}, Args{"mount", "a", "b", "c"},
      Args{"login", "https://x"}, Args{"login", "https://x", "--user", "u", "--password", "geheim"},
      Args{"sync", "/nowhere", "--timeout", "never"}, Args{"libraries", "--frob"},
      Args{"serve", "/nowhere", "--listen", "127.0.0.1:0", "--tls-cert", "f"},
      Args{"libraries", "create", "L", "--encrypted", "--encryption", "3"},
      Args{"unlock", "/nowhere"}, Args{"status", "/nowhere", "--json", "extra"});
  CHECK(run(args) == Exit::usage);
  CHECK(err.starts_with("nacre: "));
  CHECK(err.find("--help`") != std::string::npos);
  CHECK(out.empty());
}

TEST_CASE_METHOD(Home, "contradicting options are usage errors before anything is done", "[cli]") {
  const auto args =
      GENERATE(Args{"mount", "M", "-o", "frobnicate"}, Args{"mount", "M", "-o", "poll=soon"},
               Args{"mount", "M", "-o", "poll=0"}, Args{"mount", "M", "-o", "ro=1"},
               Args{"mount", "M", "-o", "cache-limit"}, Args{"mount", "M", "-o", "cache-limit=12X"},
               Args{"mount", "M", "-o", "allow_other,unknown"},
               Args{"mount", "M", "--password-fd", "0", "--password-command", "true"},
               Args{"login", "https://x", "--user", "u", "--password-fd", "0", "--token-fd", "0"},
               Args{"libraries", "create", "L", "--password-fd", "0"}, Args{"serve", "/nowhere"});
  CHECK(run(args) == Exit::usage);
  CHECK(err.starts_with("nacre: "));
}

TEST_CASE_METHOD(Home, "help goes to standard output and names the subcommands", "[cli]") {
  CHECK(run({"--help"}) == Exit::ok);
  for (const char* name : {"login", "logout", "libraries", "mount", "unlock", "lock", "sync",
                           "status", "umount", "serve", "demo"})
    CHECK(out.find(std::string("\n  ") + name) != std::string::npos);
  CHECK(run({"libraries", "create", "--help"}) == Exit::ok);
  CHECK(out.find("--encrypted") != std::string::npos);
  CHECK(run({"--version"}) == Exit::ok);
  CHECK(out == "nacre " NACRE_VERSION "\n");
}

TEST_CASE_METHOD(Home, "an account comes back as it was saved, and nobody else can read it",
                 "[cli]") {
  auto account = sample_account("home");
  account.server.ca_file = "/etc/my ca.pem";
  account.server.insecure_http = true;
  save_account(account, secret("0123456789abcdef"));

  const auto found = find_account("home");
  REQUIRE(found);
  CHECK(found->server.url == account.server.url);
  CHECK(found->server.ca_file == account.server.ca_file);
  CHECK(found->server.insecure_http);
  CHECK(found->user == account.user);
  CHECK(found->client == account.client);
  CHECK(load_token(*found) == secret("0123456789abcdef"));
  CHECK(accounts().size() == 1);

  const auto folder = config_folder() / "accounts";
  CHECK(mode_of(folder) == 0700);
  CHECK(mode_of(folder / "home") == 0600);
  CHECK(mode_of(folder / "home.token") == 0600);
  CHECK(read_text_file(folder / "home")->find("0123456789abcdef") == std::string::npos);

  write_private_file(folder / "home.token", as_bytes("edited by hand\n"));
  CHECK(load_token(*found) == secret("edited by hand"));

  forget_account(account);
  CHECK(std::filesystem::is_empty(folder));
}

TEST_CASE_METHOD(Home, "a damaged account file is named, with what to do", "[cli]") {
  save_account(sample_account("home"), secret("t"));
  write_private_file(config_folder() / "accounts" / "home", as_bytes("url https://x\n"));
  CHECK(run({"libraries"}) == Exit::failed);
  CHECK(err.find("accounts/home") != std::string::npos);
  CHECK(err.find("nacre login") != std::string::npos);
}

TEST_CASE_METHOD(Home, "the account may be left out where there is one only", "[cli]") {
  CHECK(run({"libraries"}) == Exit::failed);
  CHECK(err.find("nacre login") != std::string::npos);

  save_account(sample_account("one"), secret("t"));
  CHECK(choose_account("").alias == "one");
  CHECK(choose_account("https://127.0.0.1:9/").alias == "one");
  CHECK_THROWS_AS(choose_account("two"), Error);

  save_account(sample_account("two"), secret("t"));
  CHECK_THROWS_AS(choose_account(""), Error);
  CHECK_THROWS_AS(choose_account("https://127.0.0.1:9"), Error);
  CHECK(choose_account("two").alias == "two");
}

TEST_CASE_METHOD(Home, "an account is called as its host, with the user where that is taken",
                 "[cli]") {
  CHECK(new_alias("https://127.0.0.1:9", "mussel@example.com") == "127.0.0.1");
  auto account = sample_account("127.0.0.1");
  save_account(account, secret("t"));
  CHECK(new_alias("https://127.0.0.1:9", "mussel@example.com") == "127.0.0.1");
  CHECK(new_alias("https://127.0.0.1:9", "oyster") == "127.0.0.1-oyster");
  CHECK(new_alias("https://127.0.0.1:10", "oyster") == "127.0.0.1-oyster");
}

TEST_CASE("addresses are brought to one form, and what is none is refused", "[cli]") {
  CHECK(normal_url("sync.example.com/") == "https://sync.example.com");
  CHECK(normal_url("https://example.com:8443/seafile//") == "https://example.com:8443/seafile");
  CHECK(url_host("https://example.com:8443/seafile") == "example.com");
  CHECK(url_host("https://[::1]:8443") == "::1");
  const auto bad = GENERATE("", "ftp://x", "https://", "https://me@x", "https://x?y", "a b");
  CHECK_THROWS_AS(normal_url(bad), Error);
}

TEST_CASE("names of accounts cannot lead out of their folder", "[cli]") {
  const auto bad = GENERATE("", "..", ".hidden", "-o", "a/b", "dir:x", "a b", "x.token", "a\nb");
  CHECK_THROWS_AS(check_alias(bad), Error);
  CHECK_NOTHROW(check_alias("sync.example.com-mussel@example.com"));
}

TEST_CASE_METHOD(Home, "logging in where nothing listens is unreachable, and leaves no account",
                 "[cli]") {
  const auto password = test::pipe_with("geheim\n");
  CHECK(run({"login", "https://127.0.0.1:9", "--user", "u", "--password-fd",
             std::to_string(password.get())}) == Exit::unreachable);
  CHECK(err.find("geheim") == std::string::npos);
  CHECK(accounts().empty());
}

TEST_CASE_METHOD(Home, "logging out forgets the token also where the server is away", "[cli]") {
  save_account(sample_account("home"), secret("t"));
  CHECK(run({"logout"}) == Exit::ok);
  CHECK(err.find("not told") != std::string::npos);
  CHECK(accounts().empty());
}

TEST_CASE_METHOD(Home, "asking where nothing is mounted is unreachable", "[cli]") {
  const auto verb = GENERATE("status", "sync", "lock");
  CHECK(run({verb, dir.path()}) == Exit::unreachable);
  CHECK(err.find("nacre mount") != std::string::npos);
}

TEST_CASE_METHOD(Home, "unmounting where nothing is mounted fails and says so", "[cli]") {
  CHECK(run({"umount", dir.path()}) == Exit::failed);
  CHECK(err.find("nothing of nacre is mounted") != std::string::npos);
}

TEST_CASE_METHOD(Home, "a mount that cannot be is said by the foreground process", "[cli]") {
  const auto given = GENERATE(Args{}, Args{"--foreground"});
  auto args = Args{"mount", "dir:" + file("storage").string(), file("missing")};
  args.insert(args.end(), given.begin(), given.end());
  CHECK(run(args) == Exit::failed);
  CHECK(err.find("does not exist") != std::string::npos);
  CHECK(err.find("mkdir") != std::string::npos);
}

TEST_CASE_METHOD(Home, "commands print what the daemon answers, with its exit status", "[cli]") {
  const auto [status, exit] = GENERATE(table<int, Exit>({{0, Exit::ok},
                                                         {1, Exit::failed},
                                                         {3, Exit::denied},
                                                         {4, Exit::unreachable},
                                                         {77, Exit::failed}}));
  std::vector<std::string> words;
  std::optional<Secret> given;
  const ControlServer daemon(control_path(absolute_mountpoint(dir.path())),
                             [&](ControlRequest request) -> ControlReply {
                               words = request.words;
                               given = std::move(request.secret);
                               return {status, "so it is"};
                             });
  CHECK(run({"status", dir.path(), "--json"}) == exit);
  CHECK(words == Args{"status", "json"});
  CHECK((status == 0 ? out : err) == (status == 0 ? "so it is\n" : "nacre: so it is\n"));

  CHECK(run({"sync", dir.path() / ".", "--wait", "--timeout", "7"}) == exit);
  CHECK(words == Args{"sync", "wait", "7"});

  const auto password = test::pipe_with("libpass\n");
  CHECK(run({"unlock", dir.path(), "Private", "--password-fd", std::to_string(password.get())}) ==
        exit);
  CHECK(words == Args{"unlock", "Private"});
  REQUIRE(given);
  CHECK(*given == secret("libpass"));

  CHECK(run({"lock", dir.path(), "Private"}) == exit);
  CHECK(words == Args{"lock", "Private"});
}

TEST_CASE_METHOD(Home, "a mountpoint is found by any of its names", "[cli]") {
  std::filesystem::create_directory(file("real"));
  std::filesystem::create_directory_symlink("real", file("link"));
  const auto real = std::filesystem::canonical(file("real"));
  CHECK(absolute_mountpoint(file("real").string() + "/") == real);
  CHECK(absolute_mountpoint(file("real/../real/.")) == real);
  CHECK(absolute_mountpoint(file("link")) == real);
  CHECK(absolute_mountpoint(file("link").string() + "/") == real);
  CHECK(absolute_mountpoint("/") == "/");
}

TEST_CASE_METHOD(Home, "the device key is made once, for its owner alone", "[cli]") {
  const auto first = device_key(file("state"));
  const auto again = device_key(file("state"));
  CHECK(first.tag(as_bytes("x")) == again.tag(as_bytes("x")));
  CHECK(mode_of(file("state") / "device.key") == 0600);
  CHECK(device_key(file("other")).tag(as_bytes("x")) != first.tag(as_bytes("x")));

  write_private_file(file("state") / "device.key", as_bytes("short"));
  CHECK_THROWS_AS(device_key(file("state")), Error);
}

TEST_CASE_METHOD(Home, "a device key that systemd gives is not written down", "[cli]") {
  write_private_file(file("credentials") / "nacre.device-key", as_bytes(std::string(32, 'k')));
  ::setenv("CREDENTIALS_DIRECTORY", file("credentials").c_str(), 1);
  const auto first = device_key(file("state"));
  CHECK(read_text_file(file("state") / "device.key") == "credential\n");
  CHECK(device_key(file("state")).tag(as_bytes("x")) == first.tag(as_bytes("x")));
  CHECK(device_key_place(file("state")).starts_with("a credential"));
  ::unsetenv("CREDENTIALS_DIRECTORY");
  // It is asked for, not made anew: what it sealed would be lost.
  CHECK_THROWS_WITH(device_key(file("state")), Catch::Contains("nacre.device-key"));
}

TEST_CASE_METHOD(Home, "a command line that is wrong for a password or a login says so", "[cli]") {
  const auto args = GENERATE(
      Args{"login", "https://x", "--browser", "--user", "u"},
      Args{"login", "https://x", "--browser", "--password-fd", "0"},
      Args{"libraries", "create", "L", "--generate-password"},
      Args{"libraries", "create", "L", "--encrypted", "--show-fd", "1"},
      Args{"libraries", "create", "L", "--encrypted", "--generate-password", "--weak-password"});
  CHECK(run(args) == Exit::usage);
}

TEST_CASE("demo certificates are new each time, and a pair", "[cli]") {
  const auto one = make_demo_certificates(), two = make_demo_certificates();
  CHECK(one.ca.starts_with("-----BEGIN CERTIFICATE-----"));
  CHECK(one.server.starts_with("-----BEGIN CERTIFICATE-----"));
  CHECK(as_text(one.server_key.bytes()).starts_with("-----BEGIN PRIVATE KEY-----"));
  CHECK(one.ca != two.ca);
  CHECK_FALSE(one.server_key == two.server_key);
}

}  // namespace
}  // namespace nacre

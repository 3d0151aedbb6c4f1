# SPDX-License-Identifier: Apache-2.0
#
# The Debian package: `cpack -G DEB` in the build folder.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "nacre maintainers <maintainers@nacre.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mounts libraries of a Seafile server as folders")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Files of the libraries are fetched when they are read, and sent in the
background when they were written; what is cached goes on without the server.
Encrypted libraries are decrypted and encrypted on this machine only.
.
It comes with mount.nacre for mount(8) and fstab(5), units for systemd, and a
small server to try it with.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS fuse3)  # fusermount3
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, gnome-keyring")
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/debian.cmake")
include(CPack)

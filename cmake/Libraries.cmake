# cashew_find_libraries(MISSING): the libraries of others that cashewd is linked with, as targets PkgConfig::NAME; MISSING gets a line for each that is not
# there. It serves this tree and find_package(cashewd), whose users' programs are linked with them, too. A target that is there already is taken.
function(cashew_find_libraries missing)
	set(lines "")
	# The target's name, pkg-config's names, Debian's package.
	foreach(library IN ITEMS "MOSQUITTO|libmosquitto|libmosquitto-dev" "MONGOC|libmongoc-1.0|libmongoc-dev" "JANSSON|jansson|libjansson-dev"
			"JWT|libjwt|libjwt-dev" "OPENSSL|libssl libcrypto|libssl-dev" "CURL|libcurl|libcurl4-openssl-dev" "ZLIB|zlib|zlib1g-dev"
			"MICROHTTPD|libmicrohttpd|libmicrohttpd-dev")
		string(REPLACE "|" ";" library "${library}")
		list(GET library 0 name)
		list(GET library 1 modules)
		list(GET library 2 package)
		if(NOT TARGET PkgConfig::${name})
			string(REPLACE " " ";" modules "${modules}")
			pkg_check_modules(${name} QUIET IMPORTED_TARGET ${modules})
		endif()
		if(NOT TARGET PkgConfig::${name})
			list(JOIN modules " " modules)
			string(APPEND lines "  pkg-config does not know ${modules}: on Debian it is in ${package}\n")
		endif()
	endforeach()
	set(${missing} "${lines}" PARENT_SCOPE)
endfunction()

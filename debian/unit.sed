# Makes the package's unit of examples/systemd/cashewd.service, which is for what `cmake --install` has put into /usr/local.
s,/usr/local\>,/usr,g
/^Description=/a\
Documentation=man:cashewd(8) man:cashewd.env(5)

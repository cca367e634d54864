import java.util.Set;
import javax.security.auth.Subject;
import org.apache.activemq.artemis.core.security.CheckType;
import org.apache.activemq.artemis.core.security.Role;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;
import org.apache.activemq.artemis.spi.core.protocol.RemotingConnection;
import org.apache.activemq.artemis.spi.core.security.ActiveMQSecurityManager5;
import org.apache.activemq.artemis.spi.core.security.jaas.UserPrincipal;

/** ArtemisBroker.java - Apache ActiveMQ Artemis with cashew's tokens and users kept apart: ArtemisBroker CONFIGURATION. It ends when it is killed. */
public final class ArtemisBroker implements ActiveMQSecurityManager5 {
	/** A handler's name as a principal, which no user has: Artemis takes no principals but its own classes. */
	private static final String HANDLER = "*";

	@Override
	public Subject authenticate(String user, String password, RemotingConnection connection, String domain) {
		final Tokens.Identity identity = password == null ? null : Tokens.verify(password);
		if (identity == null)
			return null;
		final Subject subject = new Subject();
		subject.getPrincipals().add(new UserPrincipal(identity.isHandler() ? HANDLER : identity.name()));
		return subject;
	}

	/** An address is a topic; a queue of a subscription comes as address::queue. */
	@Override
	public boolean authorize(Subject subject, Set<Role> roles, CheckType checkType, String address) {
		return subject != null
			&& subject.getPrincipals(UserPrincipal.class)
				   .stream()
				   .map(known -> new Tokens.Identity(known.getName().equals(HANDLER), known.getName()))
				   .anyMatch(identity -> identity.mayUse(address.split("::")[0]));
	}

	@Override
	public boolean validateUser(String user, String password) {
		return false;
	}

	@Override
	public boolean validateUserAndRole(String user, String password, Set<Role> roles, CheckType checkType) {
		return false;
	}

	public static void main(String[] arguments) throws Exception {
		final EmbeddedActiveMQ broker = new EmbeddedActiveMQ();
		broker.setConfigResourcePath("file:" + arguments[0]);
		broker.setSecurityManager(new ArtemisBroker());
		broker.start();
	}
}

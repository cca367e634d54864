import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Tokens.java - who a client is, by a token signed with JWT_SECRET (HS256), and what it may do: a handler everything, a user what lies below its id. Client ids
 * that begin with cashewd are for handlers; a user's begins with its own id.
 */
final class Tokens {
	/** Whose token it was. */
	record Identity(boolean isHandler, String name) {
		boolean mayUse(String topic) {
			return isHandler || topic.startsWith(name + "/");
		}

		boolean owns(String clientId) {
			final boolean reserved = clientId.equals("cashewd") || clientId.startsWith("cashewd-");
			return isHandler ? reserved : !reserved && (clientId.equals(name) || clientId.startsWith(name + "/"));
		}
	}

	private static final Pattern EXPIRES = Pattern.compile("\"exp\"\\s*:\\s*(\\d+)");
	private static final Pattern HANDLER = Pattern.compile("\"handler\"\\s*:\\s*\\{");
	private static final Pattern USER = Pattern.compile("\"user_id\"\\s*:\\s*\"([A-Za-z0-9._|-]+)\"");

	private Tokens() {}

	/** null where the token is not good. */
	static Identity verify(String token) {
		try {
			final String[] parts = token.split("\\.");
			final Mac mac = Mac.getInstance("HmacSHA256");
			mac.init(new SecretKeySpec(System.getenv("JWT_SECRET").getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
			final byte[] expected = mac.doFinal((parts[0] + "." + parts[1]).getBytes(StandardCharsets.UTF_8));
			if (parts.length != 3 || !MessageDigest.isEqual(expected, Base64.getUrlDecoder().decode(parts[2])))
				return null;
			final String claims = new String(Base64.getUrlDecoder().decode(parts[1]), StandardCharsets.UTF_8);
			final Matcher expires = EXPIRES.matcher(claims);
			if (!expires.find() || Long.parseLong(expires.group(1)) < System.currentTimeMillis() / 1000)
				return null;
			if (HANDLER.matcher(claims).find())
				return new Identity(true, "handler");
			final Matcher user = USER.matcher(claims);
			return user.find() ? new Identity(false, user.group(1)) : null;
		} catch (Exception notAToken) {
			return null;
		}
	}
}

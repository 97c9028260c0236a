import java.io.File;
import javax.xml.XMLConstants;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.SchemaFactory;
import org.xml.sax.SAXParseException;
import org.xml.sax.helpers.DefaultHandler;

/** Prints what Xerces finds wrong: java Validate.java FOLDER_OF_SCHEMA FILE... */
public final class Validate {
    public static void main(String[] arguments) throws Exception {
        var folder = new File(arguments[0]);
        var sources = new StreamSource[] {
            new StreamSource(new File(folder, "xlink.xsd")), new StreamSource(new File(folder, "graphml.xsd"))};
        var validator =
            SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(sources).newValidator();
        for (int number = 1; number < arguments.length; number++) {
            String file = arguments[number];
            validator.setErrorHandler(new DefaultHandler() {
                @Override
                public void error(SAXParseException fault) {
                    System.out.println(file + ": " + fault.getMessage());
                }
            });
            validator.validate(new StreamSource(new File(file)));
        }
    }
}
